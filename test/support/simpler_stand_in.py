"""Stands in for simpler_env's Google robot: the same calls, observations and rules of time, no physics.

The tool follows its actions, so that where it is tells what was commanded. Success is scripted.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

ENVIRONMENTS = [
    "google_robot_pick_coke_can",
    "google_robot_open_drawer",
    "google_robot_place_apple_in_closed_top_drawer",
    "widowx_carrot_on_plate",
]
STEPS = {"pick": 80, "open": 113, "place": 200}
BASE = Rotation.from_euler("z", 170, degrees=True)
BASE_POSITION = np.array([0.35, 0.2, 0.08])


def make(task: str) -> TimeLimit:
    return TimeLimit(GoogleRobotTask(task))


class TimeLimit:
    """The wrapper that ends an episode; what it wraps is reached by ``unwrapped``, as in gymnasium."""

    def __init__(self, unwrapped: GoogleRobotTask) -> None:
        self.unwrapped = unwrapped

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        return self.unwrapped.reset(seed, options)

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        obs, reward, done, _, info = self.unwrapped.step(action)
        kind = self.unwrapped.task.split("_")[2]
        return obs, reward, done, len(self.unwrapped.actions) >= STEPS[kind], info


class GoogleRobotTask:
    """One task.

    Args:
        task: A name of ``ENVIRONMENTS``.
        solved: Control steps after which the task counts as solved.
        tells_pose: The observation has the fork's ``eef_pos``.
    """

    control_freq, sim_freq = 3, 513

    def __init__(self, task: str, solved: tuple[int, ...] = (), *, tells_pose: bool = False) -> None:
        self.task, self.solved, self.tells_pose = task, solved, tells_pose
        self.agent = SimpleNamespace(
            base_pose=pose(BASE_POSITION, BASE), get_gripper_closedness=lambda: self._closed
        )
        self.resets: list[tuple[int | None, dict | None]] = []
        self.actions: list[np.ndarray] = []

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        self.resets.append((seed, options))
        self.actions = []
        self._position, self._turn, self._closed = np.array([0.5, 0.1, 0.9]), Rotation.identity(), 0.0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        assert action.shape == (7,) and np.isfinite(action).all()
        self.actions.append(action)
        self._position = self._position + action[:3]
        self._turn = Rotation.from_rotvec(action[3:6]) * self._turn
        self._closed = float(np.clip(self._closed + 0.1 * action[6], 0, 1))
        success = len(self.actions) in self.solved
        info = {"elapsed_steps": len(self.actions), "success": success}
        return self._observe(), float(success), success, False, info

    def get_language_instruction(self) -> str:
        if "place" not in self.task:
            return "pick coke can"
        return "open top drawer" if len(self.actions) <= 100 else "place apple into top drawer"

    @property
    def tcp(self) -> Any:
        """The tool in the world."""
        return SimpleNamespace(pose=pose(BASE.apply(self._position) + BASE_POSITION, BASE * self._turn))

    def _observe(self) -> dict[str, Any]:
        image = np.zeros((512, 640, 3), np.uint8)
        image[: 4 * len(self.actions)] = 200
        agent: dict[str, Any] = {"qpos": np.zeros(11), "qvel": np.zeros(11), "base_pose": np.zeros(7)}
        if self.tells_pose:
            wxyz = np.roll(self._turn.as_quat(), 1)
            agent["eef_pos"] = np.hstack([self._position, wxyz, 1 - self._closed])
        return {"agent": agent, "extra": {}, "camera_param": {}, "image": {"overhead_camera": {"rgb": image}}}


def pose(position: np.ndarray, rotation: Rotation) -> Any:
    """As the simulator has it: ``p`` and, in the order wxyz, ``q``."""
    return SimpleNamespace(p=position, q=np.roll(rotation.as_quat(), 1))
