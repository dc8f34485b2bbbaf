"""A scripted motion from privileged poses: grasp the object, carry it to its target, release, draw back."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.sim.simpler.bridge.tasks import BridgeTask
from asyncvla_ros.sim.simpler.bridge.world import BridgeState
from asyncvla_ros.types import AsyncVLAError

_OPEN, _CLOSED = 1.0, 0.0
#: Greatest step of the point between the fingertips [m], and turn of the gripper about the vertical [rad].
_STEP_M, _STEP_RAD = 0.035, 0.3
#: Duration of closing or opening [control steps].
_GRIPPER_STEPS = 3
#: Distance at which the arm has arrived [m], and longest time to wait for it [control steps].
_ARRIVED_M, _WAIT_STEPS = 0.004, 3

#: Yields actions (7,), receives the frame after each; a part of a motion returns the last frame.
Motion = Generator[np.ndarray, BridgeState, None]
Part = Generator[np.ndarray, BridgeState, BridgeState]


@dataclass(frozen=True)
class Grasp:
    """The grasp of a task's object; heights are vertical.

    Attributes:
        symmetry_rad: Turn after which the object has the same shape for the fingers.
        along_m: Position of the grasp along its length (x), from its origin [m].
        above_m: Height of the point between the fingertips above the object's origin [m].
        release_m: Height of the object's origin above the target's at release [m].
        clearance_m: Height of the carried object above table and target [m].
    """

    symmetry_rad: float = math.pi
    along_m: float = 0.0
    above_m: float = 0.0
    release_m: float = 0.03
    clearance_m: float = 0.09


GRASPS = {
    "carrot": Grasp(),
    "spoon": Grasp(),
    "stack": Grasp(symmetry_rad=math.pi / 2, above_m=0.006, release_m=0.032),
}


def require_expert(task: BridgeTask) -> None:
    """Raise AsyncVLAError unless there is a motion for this task."""
    if task.name not in GRASPS:
        raise AsyncVLAError(
            f"no scripted motion for Bridge task {task.name!r}, there is for {', '.join(GRASPS)}"
        )


class BridgeExpert:
    """The expert of one episode, with actions in the convention of policies.

    Args:
        task: The task.
        first: Frame after the reset.

    Raises:
        AsyncVLAError: There is no motion for this task.
    """

    def __init__(self, task: BridgeTask, first: BridgeState) -> None:
        require_expert(task)
        self._motion = _Arm(first).pick_and_place(GRASPS[task.name], first)
        self._begun = False

    def act(self, frame: BridgeState) -> np.ndarray:
        """Return the next action (7,), see ``conventions``; hold still at the end."""
        if self._begun:
            return self._motion.send(frame)
        self._begun = True
        return next(self._motion)


class _Arm:
    """Move to goals in small steps from the last target, because the controller adds steps to it, too."""

    def __init__(self, first: BridgeState) -> None:
        self._commanded = first.pose_ee_in_base[:3, 3].copy()
        self._gripper = _OPEN

    def pick_and_place(self, grasp: Grasp, frame: BridgeState) -> Motion:
        """Yield the actions of the whole motion, without end."""
        source = frame.pose_source_in_base
        grasped = source[:3, 3] + grasp.along_m * source[:3, 0] + [0.0, 0.0, grasp.above_m]
        up = np.array([0.0, 0.0, grasp.clearance_m])
        turn = _turn(frame.pose_ee_in_base, source, grasp.symmetry_rad)
        frame = yield from self._go(frame, grasped + up, turn)
        frame = yield from self._go(frame, grasped)
        frame = yield from self._move_gripper(_CLOSED)
        frame = yield from self._go(frame, grasped + up)
        held = frame.pose_ee_in_base[:3, 3] - frame.pose_source_in_base[:3, 3]
        placed = frame.pose_target_in_base[:3, 3] + held + [0.0, 0.0, grasp.release_m]
        frame = yield from self._go(frame, placed + up)
        frame = yield from self._go(frame, placed)
        frame = yield from self._move_gripper(_OPEN)
        frame = yield from self._go(frame, placed + up)
        while True:
            yield from self._move_gripper(_OPEN)

    def _go(self, frame: BridgeState, goal: np.ndarray, turn_rad: float = 0.0) -> Part:
        """Move the point between the fingertips to a goal (3,) [m], with a turn on the way."""
        waited = 0
        while waited < _WAIT_STEPS:
            way = goal - self._commanded
            step = way * min(1.0, _STEP_M / max(float(np.linalg.norm(way)), _STEP_M))
            yaw = float(np.clip(turn_rad, -_STEP_RAD, _STEP_RAD))
            if not step.any() and not yaw:
                if np.linalg.norm(goal - frame.pose_ee_in_base[:3, 3]) < _ARRIVED_M:
                    break
                waited += 1
            self._commanded += step
            turn_rad -= yaw
            frame = yield np.array([*step, 0.0, 0.0, yaw, self._gripper])
        return frame

    def _move_gripper(self, gripper: float) -> Part:
        self._gripper = gripper
        for _ in range(_GRIPPER_STEPS):
            frame = yield np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, gripper])
        return frame


def _turn(pose_ee: np.ndarray, pose_object: np.ndarray, symmetry_rad: float) -> float:
    """Return the smallest turn about the vertical with which fingers close across the object [rad]."""
    fingers, across = pose_ee[:2, 1], pose_object[:2, 1]
    angle = math.atan2(across[1], across[0]) - math.atan2(fingers[1], fingers[0])
    return angle - symmetry_rad * round(angle / symmetry_rad)
