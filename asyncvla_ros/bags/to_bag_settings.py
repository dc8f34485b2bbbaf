"""Settings of a recording made of a dataset; apart, so that the command line need not read any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import option


@dataclass(frozen=True)
class ToBagSettings:
    """What recording to make.

    Attributes:
        episode: Number of the episode.
        out: Folder of the recording.
        robot: Robot contract, a name or a file; None drafts one.
        action_space: Action space of a drafted contract.
        images: Encoding of the images.
    """

    episode: int = option(help="Number of the episode.", minimum=0)
    out: Path = option(help="Folder of the recording.")
    robot: str | None = option(None, "Robot contract; default: one is drafted, beside the recording.")
    action_space: str = option(
        "joint_position", "Of a drafted contract: joint_position or delta_joint_position."
    )
    images: str = option("jpeg", "jpeg, png (nothing is lost) or raw.")
