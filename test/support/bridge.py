"""A Bridge simulator that costs nothing, and policies for Bridge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asyncvla_ros.sim.simpler.bridge.conventions import ACTION_NAMES, DEFAULT_ROTATION, STATE_NAMES
from asyncvla_ros.sim.simpler.bridge.tasks import TASKS, BridgeTask
from asyncvla_ros.sim.simpler.bridge.world import BridgeState
from asyncvla_ros.types import CameraFeature, FeatureContract
from support.checkpoints import tiny_checkpoint


def bridge_features() -> FeatureContract:
    """Return the features of a policy that learned from BridgeData."""
    camera = CameraFeature("image_0", 256, 256)
    return FeatureContract((camera,), STATE_NAMES, ACTION_NAMES, "delta_ee_pose", 5.0)


def bridge_checkpoint(folder: Path) -> Path:
    """Random weights that know the words of the four tasks."""
    instructions = [task.instruction for task in TASKS.values()]
    return tiny_checkpoint(folder, instructions=instructions, **vars(bridge_features()))


class FakeSim:
    """The surface of ``BridgeSim``; solved between two control steps only."""

    solved_from, solved_until = 10, 20

    def __init__(self, task: BridgeTask) -> None:
        self.task = task
        self.commands: list[np.ndarray] = []
        self.resets: list[tuple[int, int]] = []

    def __enter__(self) -> FakeSim:
        return self

    def __exit__(self, *_: object) -> None: ...

    def reset(self, placement: int, seed: int) -> BridgeState:
        self.resets.append((placement, seed))
        self.commands = []
        return self._frame()

    def step(self, command: np.ndarray) -> BridgeState:
        self.commands.append(command)
        return self._frame()

    def _frame(self) -> BridgeState:
        pose = np.eye(4)
        pose[:3, :3] = DEFAULT_ROTATION
        done = len(self.commands)
        image = np.full((480, 640, 3), done, np.uint8)
        solved = self.solved_from <= done < self.solved_until
        return BridgeState(image, pose, np.full(2, 0.037), solved, pose, pose)
