"""How to replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from asyncvla_ros.bags.frame_settings import namespace_option, target_option
from asyncvla_ros.common.options import device_option, option, threads_option
from asyncvla_ros.data.deciding import Deciding
from asyncvla_ros.observe.stream_sync import MAX_AGE_S, MAX_SKEW_S
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

INSTANTS = ("observations", "chunks")


@dataclass(frozen=True)
class ReplaySettings:
    """How to replay.

    Attributes:
        deciding: Strategy and seed.
        instruction: None: as recorded.
        namespace: Of the robot in the recording; None: found.
        every_s: Time between two inferences at least [s]; 0: on each observation.
        at: ``observations``, or ``chunks``: on those that were decided on when it was recorded.
        target: What to compare with, see ``done.CHOICES``.
        max_age_s: Of an observation [s], as of policy_node.
        max_skew_s: Between its streams [s], as of policy_node.
        tip_link: Whose path is drawn, for joint actions.
    """

    deciding: Deciding = field(default_factory=Deciding)
    instruction: str | None = option(None, "What to do; default: as recorded.")
    namespace: str | None = namespace_option()
    every_s: float = option(0.0, "Decide every so often (s); 0: on each observation.", 0, flag="--every")
    at: str = option("observations", "Decide on observations, or on those of the recorded chunks.")
    target: str = target_option("Compare with", "chunk")
    max_age_s: float = MAX_AGE_S
    max_skew_s: float = MAX_SKEW_S
    tip_link: str = option("tool0", "Link whose path is drawn, for joint actions.")

    def __post_init__(self) -> None:
        if self.at not in INSTANTS:
            raise AsyncVLAError(f"--at is {self.at!r}, choose one of {INSTANTS}")
        if self.at == "chunks" and self.every_s:
            raise AsyncVLAError("--every and --at chunks exclude each other")


@dataclass(frozen=True)
class RecordedSettings:
    """Settings that a replay takes from the recording unless they are given.

    Attributes:
        seed: Seed of the noise.
        max_age_s: Greatest age of an observation [s].
        max_skew_s: Greatest skew between its streams [s].
    """

    seed: int | None = option(None, "Seed of the noise; default: as recorded, or 0.", 0)
    max_age_s: float | None = option(
        None, f"Age of an observation (s); default: as recorded, or {MAX_AGE_S}.", 0.001, flag="--max-age"
    )
    max_skew_s: float | None = option(
        None, f"Skew of its streams (s); default: as recorded, or {MAX_SKEW_S}.", 0, flag="--max-skew"
    )

    def complete(
        self, settings: ReplaySettings, strategy: Strategy, recorded: Mapping[str, Any]
    ) -> ReplaySettings:
        """Return settings with these, and with what was recorded where these are None.

        Args:
            settings: How to replay.
            strategy: The strategy, complete.
            recorded: Parameters of the recorded policy_node; may be empty.
        """
        age, skew = recorded.get("max_observation_age_s", MAX_AGE_S), recorded.get("max_skew_s", MAX_SKEW_S)
        seed = max(0, int(recorded.get("seed", 0))) if self.seed is None else self.seed
        return replace(
            settings,
            deciding=Deciding(strategy, seed),
            max_age_s=age if self.max_age_s is None else self.max_age_s,
            max_skew_s=skew if self.max_skew_s is None else self.max_skew_s,
        )


@dataclass(frozen=True)
class ComputeSettings:
    """Where the inferences of a replay run.

    Attributes:
        device: torch device.
        threads: CPU threads of an inference.
        workers: Processes; None for one per CPU, or one for a GPU.
    """

    device: str = device_option()
    threads: int = threads_option()
    workers: int | None = option(None, "Processes that infer; default: one per CPU, one for a GPU.", 1)
