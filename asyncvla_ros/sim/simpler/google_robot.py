"""SimplerEnv's Google robot in the convention of the Fractal data: state in, action out.

It runs in SimplerEnv's Python, with only numpy, scipy and the standard library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

CAMERA = "overhead_camera"
ACTION_HZ = 3.0
STATE_DIM, ACTION_DIM = 8, 7
#: Number of control steps of opening or closing.
STICKY_STEPS = 15
#: Least change of the policy's gripper value that opens or closes.
_INTENDED = 0.5
#: Control steps of an episode by start of the task's name; the last one is for all other tasks.
_STEPS = {
    "google_robot_open": 113,
    "google_robot_close": 113,
    "google_robot_place": 200,
    "google_robot": 80,
}


def max_steps(task: str) -> int:
    """Return the length of a task's episode [control steps].

    Raises:
        ValueError: If the task is not one of the Google robot.
    """
    for begin, steps in _STEPS.items():
        if task.startswith(begin):
            return steps
    raise ValueError(f"{task!r} is no task of the Google robot")


def robot_state(env: Any, obs: dict[str, Any]) -> np.ndarray:
    """Return the pose of the tool in the robot's base, and the closedness of the gripper.

    Args:
        env: The environment behind its wrappers.
        obs: Newest observation.

    Returns:
        (8,) float32: x, y, z [m], quaternion xyzw with w >= 0, closedness from 0 (open) to 1.
    """
    if (told := obs["agent"].get("eef_pos")) is not None:
        # Forks of the simulator give it: position, quaternion wxyz, openness.
        position, rotation, closed = told[:3], _rotation(told[3:7]), 1 - told[7]
    else:
        base, tool = env.agent.base_pose, env.tcp.pose
        to_base = _rotation(base.q).inv()
        position = to_base.apply(np.asarray(tool.p) - np.asarray(base.p))
        rotation, closed = to_base * _rotation(tool.q), env.agent.get_gripper_closedness()
    xyzw = rotation.as_quat()
    return np.hstack([position, xyzw if xyzw[3] >= 0 else -xyzw, closed]).astype(np.float32)


def env_action(action: np.ndarray, gripper: StickyGripper) -> np.ndarray:
    """Convert an action of the policy to an action of the environment.

    Args:
        action: (7,) delta of x, y, z [m], of roll, pitch, yaw about fixed axes [rad], gripper openness.
        gripper: Gripper of this episode, which advances by one step.

    Returns:
        (7,) float64: delta of x, y, z [m], axis times angle [rad], gripper: 1 closes, -1 opens.
    """
    turn = Rotation.from_euler("xyz", action[3:6]).as_rotvec()
    return np.hstack([action[:3], turn, gripper.step(float(action[6]))]).astype(np.float64)


class StickyGripper:
    """Convert wanted openness to closing (+) or opening (-) commands that last for some steps.

    The robot's gripper takes deltas, and one control step moves it by a fraction of its range. So a large
    change of the wanted openness is repeated::

        wanted   1.0  1.0  0.0  0.0  0.0 ...            0.0  1.0
        command  0.0  0.0  1.0  1.0  1.0 (15 in all)    0.0 -1.0 ...
    """

    def __init__(self) -> None:
        self._wanted: float | None = None
        self._held = 0.0
        self._left = 0

    def step(self, wanted: float) -> float:
        """Return this control step's command for an openness from 0 (closed) to 1."""
        change = 0.0 if self._wanted is None else self._wanted - wanted
        self._wanted = wanted
        if not self._left and abs(change) > _INTENDED:
            self._held, self._left = change, STICKY_STEPS
        if not self._left:
            return change
        self._left -= 1
        return self._held


def _rotation(wxyz: Any) -> Rotation:
    return Rotation.from_quat(np.roll(wxyz, -1))
