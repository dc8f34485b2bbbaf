"""A checkpoint with random weights for the Google robot: one camera, 8 states, 7 actions, 3 Hz."""

from __future__ import annotations

from pathlib import Path

from asyncvla_ros.types import CameraFeature
from support.checkpoints import tiny_checkpoint

STATE_NAMES = ("x", "y", "z", "rx", "ry", "rz", "rw", "gripper")
ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


def fractal_checkpoint(folder: Path) -> Path:
    return tiny_checkpoint(
        folder,
        cameras=(CameraFeature("observation.images.image", 256, 320),),
        state_names=STATE_NAMES,
        action_names=ACTION_NAMES,
        action_hz=3.0,
    )
