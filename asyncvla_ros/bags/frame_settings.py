"""Which frames are made of recordings; apart, so that the command line need not read any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from asyncvla_ros.common.options import option
from asyncvla_ros.observe.stream_sync import MAX_AGE_S, MAX_SKEW_S


def namespace_option() -> Any:
    """Declare the namespace of the robot in a recording; None finds it."""
    return option(None, "Namespace of the robot in the recording; default: found.")


def target_option(purpose: str, *more: str) -> Any:
    """Declare which of what was recorded counts as done; ``more`` adds choices."""
    choices = ", ".join(("command", "outputs", *more))
    return option(
        "auto",
        f"{purpose}: {choices}, or state:K, the state K steps later; auto: the first that is recorded.",
    )


@dataclass(frozen=True)
class FrameSettings:
    """Which frames.

    Attributes:
        instruction: None: as recorded.
        namespace: Of the robot; None: found.
        target: What counts as action, see ``done.CHOICES``.
        max_age_s: Of an observation [s].
        max_skew_s: Between its streams [s].
        failures: Also of episodes that a simulator says were not solved.
    """

    instruction: str | None = option(None, "The task; default: as recorded.")
    namespace: str | None = namespace_option()
    target: str = target_option("What the action is")
    max_age_s: float = option(MAX_AGE_S, "Of an observation (s).", 0.001, flag="--max-age")
    max_skew_s: float = option(MAX_SKEW_S, "Between its streams (s).", 0, flag="--max-skew")
    failures: bool = option(False, "Also what was not solved, or cut short.", flag="--failures")


@dataclass(frozen=True)
class ConvertSettings:
    """What to convert.

    Attributes:
        frames: Which frames of a recording.
        discarded: Also those that were discarded when they were recorded.
    """

    frames: FrameSettings = field(default_factory=FrameSettings)
    discarded: bool = option(False, "Also what was discarded.", flag="--discarded")
