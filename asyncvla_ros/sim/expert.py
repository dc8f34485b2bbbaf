"""Scripted demonstrator for pick-and-place: proportional control on privileged poses.

    HOVER ──> DESCEND ──> CLOSE ──> LIFT ──> CARRY ──> LOWER ──> OPEN ──> RETREAT
      ^          │          │        │        │         │
      └──────────┴──────────┴────────┴────────┴─────────┘   the object is no longer between the fingers

What it does is nearly a function of the simulator's state, so its actions stay right when something else
(noise, a learner) moved the arm.
"""

from __future__ import annotations

import enum

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.grip import choose_grip
from asyncvla_ros.sim.scene import Scene

#: One action unit, as LIBERO's controller defines it [m], [rad].
POSITION_UNIT_M = 0.05
ROTATION_UNIT_RAD = 0.5
_GAIN = 1.2  # 1.5 overshoots
_MAX_ROTATION = 0.5
_HOVER_M = 0.07
_CLEARANCE_M = 0.04
_HEIGHT_TOLERANCE_M = 0.012
#: A descent that takes longer has met something: the next best grip is tried.
_DESCENT_STEPS = 50
_FINGERS_STOPPED_M_S = 0.01
_FINGER_VELOCITIES = slice(7, 9)


class Phase(enum.Enum):
    HOVER = "hover"
    DESCEND = "descend"
    CLOSE = "close"
    LIFT = "lift"
    CARRY = "carry"
    LOWER = "lower"
    OPEN = "open"
    RETREAT = "retreat"


def translation_action(position: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Proportional step from ``position`` to ``goal``, both (3,) [m]; (3,) in action units."""
    return np.clip(_GAIN * (goal - position) / POSITION_UNIT_M, -1.0, 1.0)


def rotation_action(rotation: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Proportional step from one (3, 3) rotation to another, world axes; (3,) in action units."""
    error = Rotation.from_matrix(goal @ rotation.T).as_rotvec()
    return np.clip(_GAIN * error / ROTATION_UNIT_RAD, -_MAX_ROTATION, _MAX_ROTATION)


class Expert:
    """Demonstrates the task of a scene; make a new one for every episode.

    Args:
        scene: the simulator's privileged view, after the reset.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._into_container = scene.goal[0] == "in"
        self.phase = Phase.HOVER
        self._phase_steps = 0
        self._stalls = 0
        self._grip = choose_grip(scene)

    def act(self) -> np.ndarray:
        """The action for the current state, (7,) float32 in [-1, 1]."""
        scene = self._scene
        position, rotation = scene.ee_pose()
        self._advance(position)
        goal = self._goal_position(position)
        closed = self.phase in (Phase.CLOSE, Phase.LIFT, Phase.CARRY, Phase.LOWER)
        return np.concatenate(
            [
                translation_action(position, goal),
                rotation_action(rotation, self._grip.rotation),
                [1.0 if closed else -1.0],
            ]
        ).astype(np.float32)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._phase_steps = 0
        if phase is Phase.HOVER:
            self._grip = choose_grip(self._scene, self._stalls)

    def _advance(self, position: np.ndarray) -> None:
        """Move to the phase that fits the state; at most one transition a step."""
        self._phase_steps += 1
        to_grip = self._grip_point() - position
        xy_error = float(np.linalg.norm(to_grip[:2]))
        if self.phase is Phase.HOVER:
            if xy_error < 0.03 and position[2] < self._hover_height() + 0.02:
                self._enter(Phase.DESCEND)
        elif self.phase is Phase.DESCEND:
            if xy_error > 0.06:
                self._enter(Phase.HOVER)
            elif self._grip.misalignment(to_grip) == 0.0 and abs(to_grip[2]) < _HEIGHT_TOLERANCE_M:
                self._enter(Phase.CLOSE)
            elif self._phase_steps > _DESCENT_STEPS:
                self._stalls += 1
                self._enter(Phase.HOVER)
        elif self.phase is Phase.CLOSE:
            speed = float(np.abs(self._scene.joint_velocities()[_FINGER_VELOCITIES]).max())
            if (self._phase_steps > 5 and speed < _FINGERS_STOPPED_M_S) or self._phase_steps > 20:
                self._enter(Phase.LIFT)
        elif self.phase in (Phase.LIFT, Phase.CARRY, Phase.LOWER):
            self._advance_holding(position, float(np.linalg.norm(to_grip)))
        elif self.phase is Phase.OPEN and self._phase_steps > 8:
            self._enter(Phase.RETREAT)
        elif self.phase is Phase.RETREAT and self._phase_steps > 20:
            self._enter(Phase.HOVER)

    def _advance_holding(self, position: np.ndarray, slip: float) -> None:
        if slip > 0.04:
            self._enter(Phase.HOVER)
            return
        place_error = float(np.linalg.norm(self._place_point()[:2] - position[:2]))
        if self.phase is Phase.LIFT and position[2] > self._carry_height() - 0.03:
            self._enter(Phase.CARRY)
        elif self.phase is Phase.CARRY and place_error < 0.03:
            self._enter(Phase.LOWER)
        elif self.phase is Phase.LOWER:
            if place_error > 0.05:
                self._enter(Phase.CARRY)
            elif abs(position[2] - self._place_point()[2]) < 0.01 or self._phase_steps > 40:
                self._enter(Phase.OPEN)

    def _goal_position(self, position: np.ndarray) -> np.ndarray:
        """(3,) where the end effector should be in this phase [m]."""
        grip, place = self._grip_point(), self._place_point()
        if self.phase is Phase.HOVER:
            height = self._hover_height()
            if np.linalg.norm(grip[:2] - position[:2]) > 0.08:
                height = max(height, self._obstacle_height() + _CLEARANCE_M)
            return np.array([*grip[:2], height])
        if self.phase is Phase.DESCEND:
            # Stay above the object until the fingers straddle it.
            return grip + np.array([0.0, 0.0, min(6.0 * self._grip.misalignment(grip - position), 0.10)])
        if self.phase in (Phase.CLOSE, Phase.OPEN):
            return grip if self.phase is Phase.CLOSE else position
        if self.phase is Phase.LIFT:
            return np.array([*position[:2], self._carry_height()])
        if self.phase is Phase.LOWER:
            return place
        if self.phase is Phase.CARRY:
            return np.array([*place[:2], self._carry_height()])
        return np.array([*position[:2], self._carry_height()])

    def _grip_point(self) -> np.ndarray:
        return self._scene.body_position(self._scene.target_object) + self._grip.offset

    def _hover_height(self) -> float:
        return float(self._scene.object_box(self._scene.target_object).high[2]) + _HOVER_M

    def _obstacle_height(self) -> float:
        """Top of the highest object other than target and goal [m]."""
        scene = self._scene
        others = [n for n in scene.object_names() if n not in (scene.target_object, scene.goal_object)]
        return max((float(scene.object_box(name).high[2]) for name in others), default=0.0)

    def _carry_height(self) -> float:
        """Height at which the held object clears the goal [m]."""
        hang = self._grip_point()[2] - self._scene.object_box(self._scene.target_object).low[2]
        if self._into_container:
            return float(self._scene.object_box(self._scene.goal_object).high[2] + hang + _CLEARANCE_M)
        return float(self._scene.goal_position()[2] + hang + 0.10)

    def _place_point(self) -> np.ndarray:
        """(3,) where the end effector should let go [m]."""
        goal = self._scene.goal_position()
        if self._into_container:
            rim = self._scene.object_box(self._scene.goal_object).high[2]
            return np.array([*goal[:2], rim - 0.06 + self._grip.offset[2]])
        return np.array([*(goal + self._grip.offset)[:2], goal[2] + self._grip.offset[2] + 0.01])
