"""How to replay."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncvla_ros.bags.frame_settings import namespace_option
from asyncvla_ros.common.options import option
from asyncvla_ros.data.deciding import Deciding
from asyncvla_ros.observe.stream_sync import MAX_AGE_S, MAX_SKEW_S
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
    target: str = option(
        "auto",
        "Compare with command, outputs, chunk, or state:K, the state K steps later; auto: the first of "
        "these that is recorded.",
    )
    max_age_s: float = MAX_AGE_S
    max_skew_s: float = MAX_SKEW_S
    tip_link: str = option("tool0", "Link whose path is drawn, for joint actions.")

    def __post_init__(self) -> None:
        if self.at not in INSTANTS:
            raise AsyncVLAError(f"--at is {self.at!r}, choose one of {INSTANTS}")
        if self.at == "chunks" and self.every_s:
            raise AsyncVLAError("--every and --at chunks exclude each other")
