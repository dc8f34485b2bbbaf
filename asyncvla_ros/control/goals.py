"""Goals of tracked dofs a few periods ahead, along the chunk as far as it is blended in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.drive import Drive
from asyncvla_ros.control.interpolation import hull, interpolate_chunk
from asyncvla_ros.control.motion import MotionState
from asyncvla_ros.control.orientation import COLUMNS, goal_columns, has_orientation
from asyncvla_ros.control.planner import Hull
from asyncvla_ros.control.tracker import JerkLimitedTracker
from asyncvla_ros.robot.contract import RobotContract


class Goals:
    """Compute the tracker's goals from due actions.

    Args:
        robot: Dofs, rates and the blend-in time of actions.
        index: (k,) int64, the tracked dofs.
        kinds: (d,) motion of each driver between commands.
        tracker: Follows the goals of these dofs.
    """

    def __init__(
        self,
        robot: RobotContract,
        index: np.ndarray,
        kinds: Sequence[Drive],
        tracker: JerkLimitedTracker,
    ):
        self._robot, self._index, self._kinds, self._tracker = robot, index, kinds, tracker
        self._has_orientation = has_orientation(robot)
        self._ramp_begin_ns: int | None = None
        self._ramp_start = np.zeros(len(robot.dofs))

    def restart_ramp(self) -> None:
        """Blend actions in again, from the next one on."""
        self._ramp_begin_ns = None

    def blend_factor(self, now_ns: int) -> float:
        """Return the blend factor at ``now_ns`` [ns]: 0 at the start of the ramp, 1 at the policy's goal.

        The first call after ``restart_ramp`` starts the ramp.
        """
        if self._ramp_begin_ns is None:
            self._ramp_begin_ns = now_ns
            self._ramp_start[self._index] = self._tracker.positions
        if not self._robot.ramp_s:
            return 1.0
        return min(1.0, max(0, now_ns - self._ramp_begin_ns) / 1e9 / self._robot.ramp_s)

    def of(
        self, action: ScheduledAction, values: np.ndarray, blend: float, now_ns: int, at_ns: int
    ) -> tuple[list[MotionState], list[Hull | None]]:
        """Return the goals (k,) of tracked dofs ``goal_ahead_ns`` from now, and the hulls of the ways there.

        Args:
            action: The due action.
            values: (d,) the processed action, of which only deltas are used.
            blend: Present blend factor.
            now_ns: [ns, node clock].
            at_ns: [ns, steady].
        """
        ahead: dict[Drive, list[list[float]]] = {}
        rates, starts = (values * (1e9 / self._robot.command_period_ns)).tolist(), self._ramp_start.tolist()
        goals: list[MotionState] = []
        hulls: list[Hull | None] = []
        for index in self._index.tolist():
            if self._robot.dofs[index].is_delta:
                goals.append(MotionState(0.0, rates[index], 0.0))
                hulls.append(None)
                continue
            kind = self._kinds[index]
            if kind not in ahead:
                due_ns = now_ns + self._tracker.goal_ahead_ns(kind, at_ns)
                curves = (*interpolate_chunk(action.chunk, due_ns), *hull(action.chunk, now_ns, due_ns))
                ahead[kind] = [curve.tolist() for curve in curves]
            place, slope, bend, low, high = (curve[index] for curve in ahead[kind])
            start = starts[index]
            if not math.isnan(start):
                place, low, high = (start + blend * (to - start) for to in (place, low, high))
            goals.append(MotionState(place, blend * slope, blend * bend))
            hulls.append((low, high))
        return (self._turning(goals) if self._has_orientation else goals), hulls

    def _turning(self, goals: list[MotionState]) -> list[MotionState]:
        """Return goals of a pose whose orientation takes the shortest way and is not too far ahead."""
        places = np.flatnonzero((self._index >= COLUMNS.start) & (self._index < COLUMNS.stop)).tolist()
        commanded = [self._tracker.positions[place] for place in places]
        aimed = goal_columns(commanded, [goals[place].position for place in places])
        for place, at in zip(places, commanded if aimed is None else aimed.tolist(), strict=True):
            if at != goals[place].position:
                goals[place] = MotionState(at, 0.0, 0.0)
        return goals
