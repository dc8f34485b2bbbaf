"""How a recording is played; apart, so that the command line needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.bags.frame_settings import namespace_option
from asyncvla_ros.common.options import option


@dataclass(frozen=True)
class PlaySettings:
    """How to play.

    Attributes:
        rate: Times real time.
        start_s: So much of the begin is left out [s].
        loop: Begins anew at the end.
        namespace: Of the robot in the recording; None: found.
    """

    rate: float = option(1.0, "Times real time.", 0.01)
    start_s: float = option(0.0, "Leave out so much of the begin (s).", 0, flag="--start")
    loop: bool = option(False, "Begin anew at the end.", flag="--loop")
    namespace: str | None = namespace_option()
