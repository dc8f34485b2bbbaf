"""Skill of the scripted expert to pick an object and place it in or on something.

HOVER ──> DESCEND ──> CLOSE ──> LIFT ──> CARRY ──> LOWER ──> OPEN ──> RETREAT
  ^          │          │        │        │         │
  └──────────┴──────────┴────────┴────────┴─────────┘   the object is no longer between the fingers
"""

from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.expert.grasp import (
    AT_HAND_M,
    AT_HAND_RAD,
    Grasp,
    choose_grasp,
    grasp_at_hand,
    held_point,
)
from asyncvla_ros.sim.expert.gripper_room import free_height
from asyncvla_ros.sim.expert.motion import CLOSING_STEPS, Phase, closed_firmly, motion_action
from asyncvla_ros.sim.libero.boxes import Box, Obstacles
from asyncvla_ros.sim.libero.scene import Scene

_HOVER_M = 0.055
#: Clearance of fingers or the held object over things [m].
_CLEARANCE_M = 0.04
#: Half the width of the path that must be free of obstacles [m].
_SWATH_M = 0.06
_HEIGHT_TOLERANCE_M = 0.012
#: Distance from the object, in x and y, within which the hand may be above another grasp [m].
_NEAR_M = 0.10
#: Distance between fingers below which they are not fully open [m].
_OPEN_M = 0.078
#: Greatest turn of the gripper below the height of its surroundings [rad].
_SWING_RAD = 0.4
_PLACE_TOLERANCE_M = 0.012
#: Distance from the held point at which the object counts as lost [m].
_SLIP_M = 0.04
#: Least distance from the base for lifting [m]: nearer, the arm would fold beyond a joint limit.
_FOLDED_REACH_M = 0.46
#: Clearance of an object from what hangs over it [m], and slope at which it slides out from under it.
_ASIDE_MARGIN_M, _SLIDE_M = 0.003, 0.005
#: Distance beyond the end of the slide to aim at, so that its last part is not slow [m].
_SLIDE_ON_M = 0.02
#: Time after which a blocked object is lifted where it is [control steps].
_SLIDE_STEPS = 25
#: Longest descent and lowering [control steps]; a longer one is blocked, and the next best grasp is tried.
_DESCENT_STEPS, _LOWERING_STEPS = 50, 40
_FINGERS = slice(7, 9)
_HOLDING = (Phase.LIFT, Phase.CARRY, Phase.LOWER)


class PickAndPlace:
    """Pick and place until ``goal`` holds; make a new skill for every episode.

    Args:
        scene: the simulator's privileged view, after the reset.
        goal: ``on`` or ``in``, the object to move, and the object or region where it belongs.
        style: which of how many ways to hold a bowl, see ``choose_grasp``; None: the best.
    """

    def __init__(self, scene: Scene, goal: tuple[str, ...], style: tuple[int, int] | None = None) -> None:
        self._scene = scene
        self._goal = goal
        self._style = style
        _, self._target, self._place = goal
        self.phase = Phase.HOVER
        self._phase_steps = 0
        #: Of the phase, those in which the arm did what this skill said.
        self._tried_steps = 0
        self._stalls = 0
        self._grasp: Grasp

    def done(self) -> bool:
        """Return whether the object is at its goal and released."""
        return self.phase not in (Phase.CLOSE, *_HOLDING) and self._scene.holds(self._goal)

    def act(self, *, drives: bool = True) -> np.ndarray:
        """Return the action for the current state, (7,) float32 in [-1, 1]; ``drives``: it is executed."""
        self._tried_steps += drives
        if self.phase is Phase.HOVER and self._phase_steps == 0:
            # Not earlier: another skill may act first, e.g. on a drawer, and change which grasps are free.
            self._grasp = choose_grasp(
                self._scene, self._target, self._place, self._stalls, style=self._style
            )
        pose = self._scene.ee_pose()
        self._advance(*pose)
        closed = self.phase in (Phase.CLOSE, *_HOLDING)
        return motion_action(pose, (self._goal_position(*pose), self._grasp.rotation), closed=closed)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._phase_steps = self._tried_steps = 0

    def _advance(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """Move to the phase that fits the state; at most one transition a step."""
        self._phase_steps += 1
        if self.phase in _HOLDING:
            self._advance_holding(position, float(np.linalg.norm(self._grasp_point() - position)))
        elif self.phase is Phase.OPEN and self._phase_steps > 8:
            self._enter(Phase.RETREAT)
        elif self.phase is Phase.RETREAT and self._phase_steps > 20:
            self._enter(Phase.HOVER)
        else:
            self._advance_approach(position, rotation)

    def _advance_approach(self, position: np.ndarray, rotation: np.ndarray) -> None:
        if self.phase in (Phase.HOVER, Phase.DESCEND):
            self._take_grasp_at_hand(position)
        to_grasp = self._grasp_point() - position
        lateral_offset = self._grasp.lateral_offset(to_grasp)
        if self.phase is Phase.HOVER:
            turned = self._grasp.yaw_error(rotation) < AT_HAND_RAD
            if lateral_offset < AT_HAND_M and turned and position[2] < self._hover_height() + 0.02:
                self._enter(Phase.DESCEND)
        elif self.phase is Phase.DESCEND:
            self._advance_descent(to_grasp, lateral_offset)
        elif max(lateral_offset, abs(to_grasp[2])) > AT_HAND_M:
            self._enter(Phase.HOVER)
        elif self._tried_steps > CLOSING_STEPS or self._holds_firmly():
            self._enter(Phase.LIFT)

    def _advance_descent(self, to_grasp: np.ndarray, lateral_offset: float) -> None:
        if lateral_offset > 0.06:
            self._enter(Phase.HOVER)
        elif self._grasp.misalignment(to_grasp) == 0.0 and abs(to_grasp[2]) < _HEIGHT_TOLERANCE_M:
            self._enter(Phase.CLOSE)
        elif self._tried_steps > _DESCENT_STEPS:
            self._stalls += 1
            self._enter(Phase.HOVER)

    def _take_grasp_at_hand(self, position: np.ndarray) -> None:
        """Change to a good grasp above which the hand is; not after one was blocked."""
        distance = np.linalg.norm((self._scene.body_position(self._target) - position)[:2])
        if not self._stalls and distance < _NEAR_M:
            found = grasp_at_hand(self._scene, self._target, self._place, self._grasp, style=self._style)
            self._grasp = found or self._grasp

    def _holds_firmly(self) -> bool:
        """Return whether the fingers have begun to close and have stopped."""
        width = float(np.abs(self._scene.joint_positions()[_FINGERS]).sum())
        return width < _OPEN_M and closed_firmly(self._scene.joint_velocities(), self._phase_steps)

    def _advance_holding(self, position: np.ndarray, slip: float) -> None:
        if slip > _SLIP_M:
            self._enter(Phase.HOVER)
            return
        place = self._place_point(position)
        place_error = float(np.linalg.norm(place[:2] - position[:2]))
        if self.phase is Phase.LIFT and position[2] > self._carry_height(position, place) - 0.03:
            self._enter(Phase.CARRY)
        elif self.phase is Phase.CARRY and place_error < 0.03:
            self._enter(Phase.LOWER)
        elif self.phase is Phase.LOWER:
            arrived = place_error < _PLACE_TOLERANCE_M and abs(position[2] - place[2]) < 0.01
            if place_error > 0.05:
                self._enter(Phase.CARRY)
            elif arrived or self._tried_steps > _LOWERING_STEPS:
                self._enter(Phase.OPEN)

    def _goal_position(self, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """Return the end effector's goal (3,) in this phase [m]."""
        grasp = self._grasp_point()
        if self.phase is Phase.HOVER:
            return self._hover_position(position, rotation, grasp)
        if self.phase is Phase.DESCEND:
            # Stay above the object until the fingers straddle it.
            return grasp + min(6.0 * self._grasp.misalignment(grasp - position), 0.10) * self._grasp.up
        if self.phase is Phase.CLOSE:
            return grasp
        if self.phase is Phase.OPEN:
            return position
        if self.phase is Phase.RETREAT:
            return position + _HOVER_M * self._grasp.up
        place = self._place_point(position)
        if self.phase is Phase.LOWER:
            return place
        height = self._carry_height(position, place)
        if self.phase is Phase.CARRY and position[2] > height - 0.05:
            return np.array([*place[:2], height])
        return self._rising_position(position, height)

    def _hover_position(self, position: np.ndarray, rotation: np.ndarray, grasp: np.ndarray) -> np.ndarray:
        obstacles = self._scene.obstacles(self._target)
        distance = self._grasp.lateral_offset(grasp - position)
        over = -np.inf
        if distance > 0.08 or self._grasp.yaw_error(rotation) > _SWING_RAD:
            over = highest_between(position, grasp, obstacles) + _CLEARANCE_M
        elif distance > AT_HAND_M:
            over = float(free_height(position[:2], self._grasp.yaw, obstacles))
        height = max(self._hover_height(), over)
        if position[2] < over - 0.03:
            return np.array([*position[:2], height])
        return grasp + (height - grasp[2]) / self._grasp.up[2] * self._grasp.up

    def _rising_position(self, position: np.ndarray, height: float) -> np.ndarray:
        """Return the goal (3,) of lifting: up, but first out from under things and away from the base [m]."""
        aside = way_from_under(self._scene.object_box(self._target), self._scene.obstacles(self._target))
        if aside.any() and self._phase_steps < _SLIDE_STEPS:
            return position + np.append(aside + _SLIDE_ON_M * np.sign(aside), _SLIDE_M)
        out = self._scene.away_from_base(position)
        push = max(0.0, _FOLDED_REACH_M - self._scene.reach(position))
        return np.array([*(position[:2] + push * out), height])

    def _grasp_point(self) -> np.ndarray:
        return held_point(self._scene, self._target, self._grasp)

    def _hover_height(self) -> float:
        return float(self._scene.object_box(self._target).high[2]) + _HOVER_M

    def _hang(self) -> float:
        """Return the distance from the held point down to the bottom of the object [m]."""
        return float(self._grasp_point()[2] - self._scene.object_box(self._target).low[2])

    def _carry_height(self, position: np.ndarray, place: np.ndarray) -> float:
        """Return the height at which the held object clears everything on the way [m]."""
        obstacles = self._scene.obstacles(self._target)
        over = highest_between(position, place, obstacles) + self._hang() + _CLEARANCE_M
        return max(over, float(place[2]) + _CLEARANCE_M)

    def _place_point(self, position: np.ndarray) -> np.ndarray:
        """Return the point (3,) at which the end effector should release [m]."""
        scene, held = self._scene, self._grasp_point() - self._scene.body_position(self._target)
        goal = scene.place_position(self._place)
        xy = goal[:2] + held[:2]
        if scene.is_container(self._goal):
            rim = scene.object_box(scene.place_object(self._place)).high[2]
            return np.array([*goal[:2], rim - 0.06 + held[2]])
        height = scene.support_height(self._place) + self._hang() + 0.005
        obstacles = scene.obstacles(self._target)
        return np.array([*xy, max(height, free_height(xy, self._grasp.yaw, obstacles))])


def highest_between(start: np.ndarray, end: np.ndarray, obstacles: Obstacles) -> float:
    """Return the greatest height of obstacles under a straight path in x and y [m]; minus infinity without.

    Args:
        start: (3,) [m].
        end: (3,) [m].
        obstacles: boxes, of which there may be none.
    """
    low, high = obstacles.low, obstacles.high
    way = start[:2] + np.linspace(0.0, 1.0, 12)[:, None, None] * (end - start)[:2]
    near = ((way > low[:, :2] - _SWATH_M) & (way < high[:, :2] + _SWATH_M)).all(axis=2).any(axis=0)
    return float(high[near, 2].max(initial=-np.inf))


def way_from_under(box: Box, obstacles: Obstacles) -> np.ndarray:
    """Return the shortest shift, along x or y, that moves a box out from under what hangs over it.

    Args:
        box: the object.
        obstacles: boxes, of which there may be none.

    Returns:
        (2,) [m]; zero if nothing hangs over it.
    """
    low, high = obstacles.low, obstacles.high
    margin = _ASIDE_MARGIN_M
    over = np.all((low < box.high + margin)[:, :2] & (high > box.low - margin)[:, :2], axis=1)
    over &= low[:, 2] > box.high[2] - margin
    if not over.any():
        return np.zeros(2)
    up = high[over, :2].max(axis=0) - box.low[:2] + margin
    down = low[over, :2].min(axis=0) - box.high[:2] - margin
    ways = np.array([[up[0], 0.0], [0.0, up[1]], [down[0], 0.0], [0.0, down[1]]])
    return np.asarray(ways[np.abs(ways).sum(axis=1).argmin()])
