"""Turns due actions and holds into commands: clamp -> workspace -> ramp -> jerk-limited tracking."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.drive import Drive, drives
from asyncvla_ros.control.goals import Goals
from asyncvla_ros.control.motion import Path, State
from asyncvla_ros.control.orientation import (
    COLUMNS,
    as_rotation,
    has_orientation,
    with_entry_limits,
)
from asyncvla_ros.control.rest_pose import RestPose
from asyncvla_ros.control.robot_state import RobotState, check_states
from asyncvla_ros.control.safety import Limiter
from asyncvla_ros.control.tool_guard import ToolGuard
from asyncvla_ros.control.tracker import JerkLimitedTracker, tracked
from asyncvla_ros.control.workspace import Workspace
from asyncvla_ros.robot.contract import RobotContract


class CommandGenerator:
    """Generates one safe command per call from due actions and holds.

    Dofs with a velocity limit are tracked (``JerkLimitedTracker``); the others are clamped and passed on.

    Args:
        robot: Dofs, limits, rates and the time in which the policy's authority ramps up.
        urdf: The robot description, for a contract with a guard.

    Raises:
        ContractError: a tracked target or a workspace has no measured state to begin with, or the guard does
            not fit the description.
    """

    def __init__(self, robot: RobotContract, urdf: str = ""):
        self._robot = robot
        check_states(robot)
        self._is_delta = np.array([dof.is_delta for dof in robot.dofs])
        self._kinds = drives(robot)
        self._is_rate = np.array([kind is Drive.RATE for kind in self._kinds])
        self._limiter = Limiter(robot.dofs)
        self._workspace = Workspace(robot)
        self._index = tracked(robot.dofs)
        self._tracker = self._make_tracker()
        self._goals = Goals(robot, self._index, self._kinds, self._tracker)
        self._has_orientation = has_orientation(robot)
        self.guard = None if robot.guard is None else ToolGuard(robot, self._index, urdf)
        self.rest_pose = RestPose([robot.dofs[i] for i in self._index])
        self.has_begun = self._tracker is None
        self._has_commanded = self._has_been_told = False
        self._told = [math.nan] * len(self._index)
        self._unseen = np.full(len(self._index), np.nan)
        #: (k,) least and greatest position that was measured since drivers came elsewhere.
        self._seen = self._unseen, self._unseen
        self._last_values: np.ndarray | None = None
        self._at_ns = 0
        self._before: tuple[np.ndarray | None, int] = (None, 0)
        self._is_emergency = False

    def _make_tracker(self) -> JerkLimitedTracker | None:
        if not len(self._index):
            return None
        every = with_entry_limits(self._robot)
        dofs, kinds = [every[i] for i in self._index], [self._kinds[i] for i in self._index]
        return JerkLimitedTracker(dofs, kinds, self._robot.period_ns, lead_ns=self._robot.period_ns)

    @property
    def is_tracked(self) -> bool:
        """Whether any dof is tracked, so that commands are samples of one motion."""
        return self._tracker is not None

    @property
    def is_continuous(self) -> bool:
        """Whether commands go on between two due actions: targets are tracked, and nothing is a change."""
        return self._tracker is not None and not self._is_delta.any()

    @property
    def is_immediate(self) -> bool:
        """Whether a command may come at any time: a change per step must wait for its step."""
        return Drive.STEP not in self._kinds

    @property
    def may_begin(self) -> bool:
        """Whether nothing was commanded yet: until then others may move the arm, and it begins anew."""
        return self._tracker is not None and not self._has_commanded

    @property
    def is_stopping(self) -> bool:
        """Whether an emergency stop is not over yet; it runs to its end, whatever was reset meanwhile."""
        return self._is_emergency and not self.at_rest

    @property
    def at_rest(self) -> bool:
        """Whether what was commanded last stands still."""
        return self._tracker is None or not self.has_begun or self._tracker.at_rest

    @property
    def clamped(self) -> np.ndarray:
        """(d,) int64, how often each dof was clamped."""
        return self._limiter.counts

    @property
    def limit_stops(self) -> int:
        """How often a tracked dof had to brake, because its plan would have led to a limit."""
        return 0 if self._tracker is None else self._tracker.limit_stops

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The motion of each dof whose driver follows trajectories."""
        paths: list[Path | None] = [None] * len(self._robot.dofs)
        if self._tracker is not None and self.has_begun:
            for index, path in zip(self._index, self._tracker.paths, strict=True):
                paths[index] = path if self._kinds[index] is Drive.TRAJECTORY else None
        return tuple(paths)

    def begin(self, state: RobotState, at_ns: int) -> str:
        """Takes the pose at which the arm rests for the commanded one.

        Args:
            state: The measured state; nothing begins before it says where the arm rests.
            at_ns: [ns, steady].

        Returns:
            Why the arm cannot be moved from there, or an empty text.
        """
        assert self._tracker is not None
        self._note_seen(state)
        pose = self.rest_pose.begin(state, self._told)
        if pose is None or (self.has_begun and self.rest_pose.is_same(pose, self._tracker.positions)):
            return ""
        slowest_s = 0.0 if self.guard is None else self.guard.slowest_s(self._tracker.positions, pose, state)
        ways = np.nan_to_num(np.maximum(pose - self._seen[0], self._seen[1] - pose)).tolist()
        problem = self._tracker.begin(pose, at_ns, slowest_s, ways)
        self.has_begun = not problem
        return problem

    def _note_seen(self, state: RobotState) -> None:
        """A driver that came elsewhere stands where the arm was at some time since then."""
        measured = [state.value(self._robot.dofs[index].name) for index in self._index.tolist()]
        self._seen = np.fmin(self._seen[0], measured), np.fmax(self._seen[1], measured)

    def restart(self, is_elsewhere: bool) -> None:
        """Whatever was commanded is over: what comes next begins where the arm rests then.

        Args:
            is_elsewhere: Whether the driver does not hold what it was told last any more.
        """
        self._has_been_told &= not is_elsewhere
        self.has_begun, self._has_commanded = self._tracker is None, False
        self._last_values, self._is_emergency = None, False
        if is_elsewhere:
            if self._tracker is not None:
                self._tracker.leave()
            self.rest_pose.forget()
            self._told = [math.nan] * len(self._index)
            self._seen = self._unseen, self._unseen
        elif self._tracker is not None and self._has_been_told:
            self._told = self._tracker.positions
        self.rest_pose.interrupt()
        self.restart_ramp()

    def reconsider(self) -> None:
        """Nobody has heard a command yet: what comes next begins where the arm rests, should that change."""
        self._has_commanded = False

    def note_acknowledged(self, is_acknowledged: bool) -> None:
        """Whether the next command reaches a driver."""
        if self._tracker is not None:
            self._tracker.is_acknowledged = is_acknowledged

    def restart_ramp(self) -> None:
        """The policy's authority ramps up again, from the next action on."""
        self._goals.restart_ramp()

    def restart_stop(self, is_emergency: bool = False) -> None:
        """Tracked dofs come to rest first, whatever hold they were moving to."""
        self.rest_pose.interrupt()
        self._is_emergency |= is_emergency

    def forget_times(self) -> None:
        """After a jump of the node clock."""
        self.restart_ramp()
        self.restart_stop()

    def take_back(self) -> None:
        """The last command was not sent; what comes next goes on from the one before it."""
        self._last_values, self._at_ns = self._before
        if self._tracker is not None and self.has_begun:
            self._tracker.take_back()

    def follow(
        self, action: ScheduledAction, is_new: bool, now_ns: int, at_ns: int, state: RobotState
    ) -> np.ndarray:
        """The command for the action due now.

        Args:
            action: The action.
            is_new: Whether it is handed out for the first time, rather than still due.
            now_ns: [ns, node clock].
            at_ns: [ns, steady].
            state: The measured state.

        Returns:
            (d,) physical units; float64 if anything is tracked, else float32.
        """
        self._has_commanded, self._is_emergency = True, False
        self.rest_pose.note_motion()
        if is_new:
            self._clamped = self._limiter.clamp(action.values)
        values, authority = self._clamped, self._goals.authority(now_ns)
        if authority < 1:
            values = np.where(self._is_delta, np.float32(authority) * values, values)
        low, high = self._set_measured(state, now_ns, at_ns)
        if not self._workspace.is_unlimited:
            values = self._workspace.clamp(values, low, high).astype(np.float32)
        if self._tracker is not None:
            goals, hulls = self._goals.of(action, values, authority, now_ns, at_ns)
            self._tracker.follow(goals, at_ns, self._permits(at_ns, state), hulls)
            values = self._with_tracked(values)
        self._note(values, at_ns)
        return values

    def _permits(self, at_ns: int, state: RobotState) -> Callable[[Sequence[Path | None]], bool] | None:
        guard = self.guard
        return None if guard is None else lambda paths: guard.permits(paths, at_ns, state)

    def _with_tracked(self, values: np.ndarray) -> np.ndarray:
        assert self._tracker is not None
        merged = values.astype(np.float64)
        merged[self._index] = self._tracker.commands
        if self._has_orientation and not np.isnan(merged[COLUMNS]).any():
            merged[COLUMNS] = as_rotation(merged[COLUMNS].tolist())
        return merged

    def _note(self, values: np.ndarray, at_ns: int) -> None:
        if not self._workspace.is_unlimited:
            before = np.zeros(len(values)) if self._last_values is None else self._last_values
            # What is a rate went on until now.
            went_on = before * ((at_ns - self._at_ns) / self._robot.step_ns)
            moved = np.where(self._is_rate, went_on, values)
            self._workspace.note(np.where(self._is_delta, moved, 0.0), at_ns)
        self._has_been_told |= self.has_begun
        self._before = (self._last_values, self._at_ns)
        self._last_values, self._at_ns = values, at_ns

    def _set_measured(self, state: RobotState, now_ns: int, at_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """(d,) least and greatest position now."""
        low, high = self._workspace.positions(state, now_ns, at_ns)
        if self._tracker is not None:
            self._tracker.set_measured(low[self._index].tolist(), high[self._index].tolist())
        return low, high

    def hold(self, now_ns: int, at_ns: int, state: RobotState, has_let_go: bool) -> np.ndarray | None:
        """The next command of a stop and of the hold after it.

        Tracked dofs come to rest and stay there, or go to where the arm rests (``RestPose``).

        Args:
            now_ns: [ns, node clock].
            at_ns: [ns, steady].
            state: The measured state.
            has_let_go: Whether the arm may be anywhere, and the hold goes with it.

        Returns:
            (d,) NaN where a target is known neither by report nor by command; None while all are.
        """
        values = self._untracked_hold(state)
        if self._tracker is not None and self.has_begun:
            self._has_commanded = True
            self._set_measured(state, now_ns, at_ns)
            self._is_emergency &= not self._tracker.at_rest
            goals = None
            if self._tracker.at_rest or self.rest_pose.is_chosen:
                goals = self.rest_pose.goals(self._tracker.positions, state, now_ns, has_let_go)
            if goals is None or self._is_emergency:
                self._tracker.stop(at_ns, self._is_emergency, self._permits(at_ns, state))
            else:
                states = [State(place, 0.0, 0.0) for place in goals]
                self._tracker.follow(states, at_ns, self._permits(at_ns, state))
            values = self._with_tracked(values)
        if np.isnan(values).all():
            return None
        self._note(values, at_ns)
        return values

    def _untracked_hold(self, state: RobotState) -> np.ndarray:
        """(d,) float32 that stand still: no change; what was commanded last; else what is measured."""
        values = np.zeros(len(self._robot.dofs), np.float32)
        for index, dof in enumerate(self._robot.dofs):
            if dof.is_delta:
                continue
            value = state.value(dof.name) if self._last_values is None else self._last_values[index]
            if math.isnan(value):
                value = state.value(dof.name)
            values[index] = np.clip(value, dof.minimum, dof.maximum)
        if self._tracker is not None and not self.has_begun:
            values[self._index] = np.where(self._is_delta[self._index], 0.0, np.nan)
        return values

    @property
    def positions(self) -> np.ndarray:
        """(d,) where targets are commanded to be [unit]; NaN for changes, and before the first command."""
        if self._last_values is None:
            return np.full(len(self._robot.dofs), np.nan)
        return np.where(self._is_delta, np.nan, self._last_values.astype(np.float64))
