"""How to replay."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.data.robot_policy import Deciding
from asyncvla_ros.types import AsyncVLAError

INSTANTS = ("observations", "chunks")


@dataclass(frozen=True)
class ReplaySettings:
    """How to replay.

    Attributes:
        deciding: Strategy and seed.
        instruction: None: as recorded.
        namespace: Of the robot in the recording; None: found.
        every_s: Time between two decisions at least [s]; 0: on each observation.
        at: ``observations``, or ``chunks``: on those that were decided on when it was recorded.
        target: What to compare with, see ``done.CHOICES``.
        max_age_s: Of an observation [s], as of policy_node.
        max_skew_s: Between its streams [s], as of policy_node.
        tip_link: Whose path is drawn, for joint actions.
    """

    deciding: Deciding
    instruction: str | None = None
    namespace: str | None = None
    every_s: float = 0.0
    at: str = "observations"
    target: str = "auto"
    max_age_s: float = 0.5
    max_skew_s: float = 0.1
    tip_link: str = "tool0"

    def __post_init__(self) -> None:
        if self.at not in INSTANTS:
            raise AsyncVLAError(f"--at is {self.at!r}, choose one of {INSTANTS}")
        if self.at == "chunks" and self.every_s:
            raise AsyncVLAError("--every and --at chunks exclude each other")
