"""Skills of the scripted expert for drawers, the stove's knob, and a plate to push.

All three run HOVER ──> DESCEND ──> CLOSE ──> CARRY, and return to HOVER if they lose hold. For a drawer,
"hover" is in front of its handle, "descend" the way to it and "carry" the pull.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.expert.motion import DOWN, Phase, closed_firmly, motion_action
from asyncvla_ros.sim.libero.scene import Scene

_APPROACH = (Phase.HOVER, Phase.DESCEND, Phase.CLOSE)
_STANDOFF_M = 0.10
#: Lateral offset [m] and angle [rad] below which the fingers move in; more is corrected on the way.
_ASIDE_M, _ROUGHLY_LEVEL_RAD = 0.03, 0.25
#: Offset from the middle of a handle towards the robot's base, so that the arm is less stretched [m].
_NEARER_M = 0.014
_HOVER_M = 0.07
#: Distance along the way at which the fingers are around a handle or knob [m], and lateral offset [m].
_REACHED_M = 0.014
_OFF_M = 0.06
_TURNED_RAD = 0.15
_LOST_M = 0.05
#: Opening at which a drawer is released, and below which it counts as closed again [m].
_WIDE_OPEN_M = 0.15
_CLOSED_M = 0.10
_CLEAR_M = 0.06
_PULL_M = 0.06
_STALLED_STEPS = 50
_LET_GO_STEPS = 8
_KNOB_DEPTH_M = 0.02
#: Outward tilt of the hand [rad], so that the arm does not fold too far: the knob is near the base.
_TILT_RAD = 0.45
_TURN_STEP_RAD = 0.45
#: Turn of the wrist before it grasps the knob again [rad].
_LONGEST_TURN_RAD = 1.2
#: Distance of the fingertips below the grasp point [m].
_FINGERTIP_M = 0.014
_FLOOR_REACHED_M = 0.012
#: Depth below the plate's floor of the goal that presses on it [m].
_PRESS_M = 0.012
_PUSH_M = 0.05


#: Straight down with the palm along x, clear of a cabinet behind the plate.
_SIDEWAYS = Rotation.from_euler("z", np.pi / 2).as_matrix() @ DOWN


class _Skill:
    """State of all skills: the phase and its number of steps."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.phase = Phase.HOVER
        self._steps = 0

    def _enter(self, phase: Phase) -> None:
        self.phase, self._steps = phase, 0

    def _closed_firmly(self) -> bool:
        return closed_firmly(self._scene.joint_velocities(), self._steps)


class OpenDrawer(_Skill):
    """Pull a drawer open by its handle with a horizontal gripper, and leave the handle.

    Args:
        scene: the simulator's privileged view.
        drawer: region inside the drawer, e.g. ``wooden_cabinet_1_top_region``.
    """

    def __init__(self, scene: Scene, drawer: str) -> None:
        super().__init__(scene)
        self._drawer = drawer
        self._left = self._opening() > _CLOSED_M

    def done(self) -> bool:
        """Return whether the drawer is open and the hand has left its handle."""
        if self._opening() < _CLOSED_M:
            self._left = False
        return self._left

    def act(self, *, drives: bool = True) -> np.ndarray:
        """Return the action for the current state, (7,) float32 in [-1, 1], whoever drives."""
        position, rotation = self._scene.ee_pose()
        handle, out = self._scene.handle(self._drawer)
        away = np.array([*self._scene.away_from_base(handle), 0.0])
        handle = handle - _NEARER_M * (away - (away @ out) * out)
        level = _facing(-out)
        along = float((position - handle) @ out)
        side = position - handle - along * out
        self._advance(along, float(np.linalg.norm(side)), _angle(rotation, level))
        goals = {
            Phase.HOVER: handle + _STANDOFF_M * out,
            Phase.DESCEND: handle,
            Phase.CLOSE: handle,
            Phase.CARRY: handle + (along + _PULL_M) * out,
            Phase.OPEN: position,
            Phase.RETREAT: position + _PULL_M * out,
        }
        closed = self.phase in (Phase.CLOSE, Phase.CARRY)
        return motion_action((position, rotation), (goals[self.phase], level), closed=closed)

    def _opening(self) -> float:
        return -self._scene.joint_value(self._drawer)

    def _advance(self, along: float, off: float, angle: float) -> None:
        """Move to the phase that fits the state; at most one transition a step."""
        self._steps += 1
        if self.phase in _APPROACH:
            self._approach(along, off, angle)
        else:
            self._pull(along, off)

    def _approach(self, along: float, off: float, angle: float) -> None:
        if self.phase is Phase.HOVER:
            if off < _ASIDE_M and 0.02 < along < _STANDOFF_M + 0.03 and angle < _ROUGHLY_LEVEL_RAD:
                self._enter(Phase.DESCEND)
        elif self.phase is Phase.DESCEND:
            if off > _OFF_M or self._steps > _STALLED_STEPS:
                self._enter(Phase.HOVER)
            elif abs(along) < _REACHED_M and off < 0.025:
                self._enter(Phase.CLOSE)
        elif self._closed_firmly():
            self._enter(Phase.CARRY)

    def _pull(self, along: float, off: float) -> None:
        if self.phase is Phase.CARRY:
            if self._opening() > _WIDE_OPEN_M:
                self._enter(Phase.OPEN)
            elif np.hypot(along, off) > _LOST_M:
                self._enter(Phase.HOVER)
        elif self.phase is Phase.OPEN:
            if self._steps > _LET_GO_STEPS:
                self._enter(Phase.RETREAT)
        elif along > _CLEAR_M:
            self._left = self._opening() > _CLOSED_M
            self._enter(Phase.HOVER)


class TurnKnob(_Skill):
    """Grasp a knob's bar from above and turn it on.

    Args:
        scene: the simulator's privileged view.
        goal: e.g. ``("turnon", "flat_stove_1")``.
    """

    def __init__(self, scene: Scene, goal: tuple[str, ...]) -> None:
        super().__init__(scene)
        self._goal = goal
        self._gripped_at = 0.0

    def done(self) -> bool:
        """Return whether the stove is on."""
        return self._scene.holds(self._goal)

    def act(self, *, drives: bool = True) -> np.ndarray:
        """Return the action for the current state, (7,) float32 in [-1, 1], whoever drives."""
        position, rotation = self._scene.ee_pose()
        angle = self._scene.joint_value(self._goal[1])
        knob = self._scene.knob(self._goal[1]) - np.array([0.0, 0.0, _KNOB_DEPTH_M])
        # The bar lies along x at angle 0, so that fingers closing along y straddle it.
        level = Rotation.from_euler("yz", [_TILT_RAD, angle]).as_matrix() @ DOWN
        self._advance(position - knob, _angle(rotation, level), angle)
        goal = {
            Phase.HOVER: (knob + np.array([0.0, 0.0, _HOVER_M]), level),
            Phase.DESCEND: (knob, level),
            Phase.CLOSE: (position, level),
            Phase.CARRY: (knob, Rotation.from_euler("z", _TURN_STEP_RAD).as_matrix() @ rotation),
            Phase.OPEN: (position, rotation),
            Phase.RETREAT: (position + np.array([0.0, 0.0, _PULL_M]), rotation),
        }[self.phase]
        return motion_action((position, rotation), goal, closed=self.phase in (Phase.CLOSE, Phase.CARRY))

    def _advance(self, offset: np.ndarray, turn: float, angle: float) -> None:
        """Move to the phase that fits the state; at most one transition a step."""
        self._steps += 1
        if self.phase in _APPROACH:
            self._approach(offset, turn, angle)
        else:
            self._turn(offset, angle)

    def _approach(self, offset: np.ndarray, turn: float, angle: float) -> None:
        off = float(np.linalg.norm(offset[:2]))
        if self.phase is Phase.HOVER:
            if off < 0.02 and offset[2] < _HOVER_M + 0.02 and turn < _TURNED_RAD:
                self._enter(Phase.DESCEND)
        elif self.phase is Phase.DESCEND:
            if off > _OFF_M or self._steps > _STALLED_STEPS:
                self._enter(Phase.HOVER)
            elif off < _REACHED_M and abs(offset[2]) < _REACHED_M:
                self._enter(Phase.CLOSE)
        elif self._closed_firmly():
            self._gripped_at = angle
            self._enter(Phase.CARRY)

    def _turn(self, offset: np.ndarray, angle: float) -> None:
        if self.phase is Phase.CARRY:
            if (
                np.linalg.norm(offset) > _LOST_M
                or self._steps > _STALLED_STEPS
                or angle - self._gripped_at > _LONGEST_TURN_RAD
            ):
                self._enter(Phase.OPEN)
        elif self.phase is Phase.OPEN:
            if self._steps > _LET_GO_STEPS:
                self._enter(Phase.RETREAT)
        elif offset[2] > _HOVER_M:
            self._enter(Phase.HOVER)


class PushPlate(_Skill):
    """Push a plate along the table from within, with closed fingers pressed against its floor and rim.

    The rim is ahead of the plate's center, so the plate follows and does not turn away.

    Args:
        scene: the simulator's privileged view.
        goal: e.g. ``("on", "plate_1", "main_table_stove_front_region")``.
    """

    def __init__(self, scene: Scene, goal: tuple[str, ...]) -> None:
        super().__init__(scene)
        self._goal = goal

    def done(self) -> bool:
        """Return whether the plate is at its goal."""
        return self._scene.holds(self._goal)

    def act(self, *, drives: bool = True) -> np.ndarray:
        """Return the action for the current state, (7,) float32 in [-1, 1], whoever drives."""
        position, rotation = self._scene.ee_pose()
        _, plate, place = self._goal
        box = self._scene.object_box(plate)
        floor = np.array([*box.center[:2], box.low[2] + _FINGERTIP_M])
        way = self._scene.place_position(place)[:2] - box.center[:2]
        step = way / max(float(np.linalg.norm(way)), 1e-6) * _PUSH_M
        offset = position - floor
        self._advance(offset, float(box.size[:2].min()) / 2)
        # Move over the rim, not against it.
        beside = np.linalg.norm(offset[:2]) > _LOST_M and offset[2] < _HOVER_M / 2
        goal = {
            Phase.HOVER: np.array([*(position if beside else floor)[:2], floor[2] + _HOVER_M]),
            Phase.DESCEND: floor - np.array([0.0, 0.0, _PRESS_M]),
            Phase.CARRY: np.array([*(position[:2] + step), floor[2] - _PRESS_M]),
        }[self.phase]
        return motion_action((position, rotation), (goal, _SIDEWAYS), closed=True)

    def _advance(self, offset: np.ndarray, radius: float) -> None:
        off = float(np.linalg.norm(offset[:2]))
        if self.phase is Phase.HOVER:
            if off < 0.02 and offset[2] < _HOVER_M + 0.02:
                self._enter(Phase.DESCEND)
        elif off > radius or offset[2] > _HOVER_M + _LOST_M:
            self._enter(Phase.HOVER)
        elif self.phase is Phase.DESCEND and offset[2] < _FLOOR_REACHED_M:
            self._enter(Phase.CARRY)


def _facing(direction: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) of a gripper along ``direction`` (3,), with vertical closing."""
    heading = np.arctan2(direction[1], direction[0])
    return Rotation.from_euler("xz", [-np.pi / 2, heading + np.pi / 2]).as_matrix() @ DOWN


def _angle(rotation: np.ndarray, goal: np.ndarray) -> float:
    """Return the angle between two (3, 3) rotations [rad]."""
    return float(np.linalg.norm(Rotation.from_matrix(goal @ rotation.T).as_rotvec()))
