"""Settings of a recorder; apart, so that the command line needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import option


@dataclass(frozen=True)
class RecordSettings:
    """What to record.

    Attributes:
        robot: Robot contract, a name or a file.
        out: Folder that receives a folder for each episode.
        instruction: Task of the episodes; empty for that of the chunks.
        around: What begins and ends episodes beside services and keys.
        namespace: Namespace of the robot's nodes.
        use_sim_time: Whether to follow /clock.
    """

    robot: str = option(help="Robot contract: a name in config/robots or a .yaml.")
    out: Path = option(help="Folder that receives a folder for each episode.")
    instruction: str = option("", "The task; default: what the chunks say.")
    around: str = option(
        "tasks", "What else begins and ends episodes: tasks, episodes of a simulator, nothing."
    )
    namespace: str = option("", "Of the robot's nodes.")
    use_sim_time: bool = option(False, "Follow /clock.")
