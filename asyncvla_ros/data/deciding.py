"""How decisions on messages are made."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.strategy import Strategy


@dataclass(frozen=True)
class Deciding:
    """How decisions are made.

    Attributes:
        strategy: Of the policy.
        seed: Noise is drawn from this and the observation's stamp; None: different each time.
    """

    strategy: Strategy = Strategy()
    seed: int | None = None
