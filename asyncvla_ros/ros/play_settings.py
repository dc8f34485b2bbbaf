"""Settings of ``asyncvla play``, in a file of their own so that the command line needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.bags.frame_settings import namespace_option
from asyncvla_ros.common.options import option


@dataclass(frozen=True)
class PlaySettings:
    """How to play a recording.

    Attributes:
        rate: Times real time.
        start_s: Time that is skipped at the beginning [s].
        loop: Start again at the end.
        namespace: Namespace of the robot in the recording; None: find it.
    """

    rate: float = option(1.0, "Times real time.", 0.01)
    start_s: float = option(0.0, "Skip this much of the beginning (s).", 0, flag="--start")
    loop: bool = option(False, "Start again at the end.", flag="--loop")
    namespace: str | None = namespace_option()
