"""From due actions and holds to commands: clamp -> ramp -> workspace -> jerk-limited tracking."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.drive import EARLIEST, Drive, drives
from asyncvla_ros.control.goals import Goals
from asyncvla_ros.control.last_command import LastCommand
from asyncvla_ros.control.motion import MotionState, Path
from asyncvla_ros.control.orientation import (
    COLUMNS,
    as_rotation,
    has_orientation,
    with_entry_limits,
)
from asyncvla_ros.control.robot_state import RobotState, check_states
from asyncvla_ros.control.safety import Limiter
from asyncvla_ros.control.start import Start
from asyncvla_ros.control.stop import Stop
from asyncvla_ros.control.tool_guard import ToolGuard
from asyncvla_ros.control.tracker import JerkLimitedTracker, tracked
from asyncvla_ros.control.workspace import Workspace
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import ContractError

# Least time between two commands of absolute actions [periods].
EARLIEST_UPDATE = 0.25


class CommandGenerator:
    """Generate one safe command per period from due actions and holds.

    Dofs with a velocity limit are tracked (``JerkLimitedTracker``); the others are clamped and passed on.

    Args:
        robot: Dofs, limits, rates and the blend-in time of actions.
        urdf: The robot description, for a contract with a guard.

    Raises:
        ContractError: a tracked absolute dof or a workspace has no measured state, or the guard does not
            fit the description.

    Attributes:
        stop: State machine of the stop and the hold after it.
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
        #: Whether any dof is tracked, so that commands are samples of one motion.
        self.is_tracked = bool(len(self._index))
        self._tracker = self._make_tracker()
        self._goals = Goals(robot, self._index, self._kinds, self._tracker)
        self._has_orientation = has_orientation(robot)
        self._guard = None if robot.guard is None else ToolGuard(robot, self._index, urdf)
        dofs = [robot.dofs[i] for i in self._index]
        self.stop = Stop(dofs)
        self._start = Start(dofs, self._tracker, self.stop, self._guard)
        self._last = LastCommand(robot)

    def _make_tracker(self) -> JerkLimitedTracker:
        every = with_entry_limits(self._robot)
        dofs, kinds = [every[i] for i in self._index], [self._kinds[i] for i in self._index]
        return JerkLimitedTracker(
            dofs, kinds, self._robot.command_period_ns, lead_ns=self._robot.command_period_ns
        )

    @property
    def is_continuous(self) -> bool:
        """Whether commands continue between due actions: dofs are tracked, and no dof is a delta."""
        return self.is_tracked and not self._is_delta.any()

    @property
    def shortest_ns(self) -> int:
        """Least time between two commands [ns]."""
        share = EARLIEST_UPDATE if self.is_continuous else EARLIEST
        return round(share * self._robot.command_period_ns)

    @property
    def is_immediate(self) -> bool:
        """Whether a command may come at any time; a delta must wait for its control step."""
        return Drive.STEP not in self._kinds

    @property
    def has_begun(self) -> bool:
        """Whether the arm was seen at rest, so that the first command has a start."""
        return self._start.has_begun

    @property
    def may_begin(self) -> bool:
        """Whether nothing was commanded yet, so that the start still follows the measured arm."""
        return self._start.may_begin

    @property
    def is_stopping(self) -> bool:
        """Whether an emergency stop is still running; a reset does not end it."""
        return self.stop.is_emergency and not self.at_rest

    @property
    def at_rest(self) -> bool:
        """Whether the last command stands still."""
        return not self.has_begun or self._tracker.at_rest

    @property
    def clamped(self) -> np.ndarray:
        """(d,) int64 count of clamped commands per dof."""
        return self._limiter.counts

    @property
    def limit_stops(self) -> int:
        """Count of plans that would have led to a limit, so that the dof braked."""
        return self._tracker.limit_stops

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The motion of each dof whose driver follows trajectories."""
        paths: list[Path | None] = [None] * len(self._robot.dofs)
        if self.has_begun:
            for index, path in zip(self._index, self._tracker.paths, strict=True):
                paths[index] = path if self._kinds[index] is Drive.TRAJECTORY else None
        return tuple(paths)

    @property
    def positions(self) -> np.ndarray:
        """(d,) commanded positions of absolute dofs [unit]; NaN for deltas and before the first command."""
        return self._last.positions

    def limit_tool_speed(self, speed: float | None) -> None:
        """Limit the speed of the tool to ``speed`` [m/s]; None: to the contract's limit.

        Raises:
            ContractError: the contract has no guard, so the place of the tool is unknown.
        """
        if self._guard is not None:
            self._guard.limit_speed(speed)
        elif speed is not None:
            raise ContractError(
                f"robot {self._robot.name}: a tool speed of {speed:g} m/s needs the contract's guard (tool, "
                "tool_speed) and a robot description"
            )

    def begin(self, state: RobotState, at_ns: int) -> str:
        """Start commands at the pose where the arm rests, see ``Start.begin``."""
        return self._start.begin(state, at_ns)

    def restart(self, *, is_elsewhere: bool, is_unseen: bool = False) -> None:
        """Drop the command; the next one starts where the arm rests then.

        Args:
            is_elsewhere: Whether the driver no longer holds its last command.
            is_unseen: Whether the arm is out of sight.
        """
        self._last.forget()
        self._start.restart(is_elsewhere=is_elsewhere, is_unseen=is_unseen)
        self.stop.restart(is_elsewhere=is_elsewhere)
        self.restart_ramp()

    def reconsider(self) -> None:
        """Let the start follow the arm again, because no driver has received a command yet."""
        self._start.reconsider()

    def note_acknowledged(self, *, is_acknowledged: bool) -> None:
        """Note whether the next command reaches a driver."""
        self._tracker.is_acknowledged = is_acknowledged

    def restart_ramp(self) -> None:
        """Blend actions in again, from the next one on."""
        self._goals.restart_ramp()

    def restart_stop(self, *, is_emergency: bool = False) -> None:
        """Bring tracked dofs to rest first, also from the way to a hold."""
        self.stop.brake(is_emergency=is_emergency)

    def forget_times(self) -> None:
        """Forget every time of the node clock, which has jumped."""
        self.restart_ramp()
        self.restart_stop()

    def take_back(self) -> None:
        """Take back the last command, which was not sent; continue from the one before it."""
        self._last.take_back()
        if self.has_begun:
            self._tracker.take_back()

    def follow(
        self, action: ScheduledAction, now_ns: int, at_ns: int, state: RobotState, *, is_new: bool
    ) -> np.ndarray:
        """Compute the command for the action due now.

        Args:
            action: The action.
            is_new: Whether it is handed out for the first time, rather than still due.
            now_ns: [ns, node clock].
            at_ns: [ns, steady].
            state: The measured state.

        Returns:
            (d,) physical units; float64 if anything is tracked, else float32.
        """
        self._start.note_command()
        self.stop.note_motion()
        values = self._clamp(action, is_new=is_new)
        blend = self._goals.blend_factor(now_ns)
        values = self._ramp(values, blend)
        low, high = self._measure(state, now_ns, at_ns)
        values = self._keep_inside(values, low, high)
        if self.is_tracked:
            goals, hulls = self._goals.of(action, values, blend, now_ns, at_ns=at_ns)
            self._tracker.follow(goals, at_ns, self._permits(at_ns, state), hulls)
            values = self._with_tracked(values)
        self._note(values, at_ns)
        return values

    def _clamp(self, action: ScheduledAction, *, is_new: bool) -> np.ndarray:
        """Clamp an action to (d,) float32 within the limits; count it once."""
        if is_new:
            self._clamped = self._limiter.clamp(action.values)
        return self._clamped

    def _ramp(self, values: np.ndarray, blend: float) -> np.ndarray:
        """Return (d,) with deltas blended in; absolute actions are blended on their way to the tracker."""
        return values if blend >= 1 else np.where(self._is_delta, np.float32(blend) * values, values)

    def _measure(self, state: RobotState, now_ns: int, at_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (d,) least and greatest position now [unit]; tell the tracker, too."""
        low, high = self._workspace.positions(state, now_ns, at_ns)
        self._tracker.set_measured(low[self._index].tolist(), high[self._index].tolist())
        return low, high

    def _keep_inside(self, values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return (d,) with deltas that do not lead out of the workspace."""
        if self._workspace.is_unlimited:
            return values
        return self._workspace.clamp(values, low, high).astype(np.float32)

    def _permits(self, at_ns: int, state: RobotState) -> Callable[[Sequence[Path | None]], bool] | None:
        guard = self._guard
        return None if guard is None else lambda paths: guard.permits(paths, at_ns, state)

    def _with_tracked(self, values: np.ndarray) -> np.ndarray:
        merged = values.astype(np.float64)
        merged[self._index] = self._tracker.commands
        if self._has_orientation and not np.isnan(merged[COLUMNS]).any():
            merged[COLUMNS] = as_rotation(merged[COLUMNS].tolist())
        return merged

    def _note(self, values: np.ndarray, at_ns: int) -> None:
        if not self._workspace.is_unlimited:
            before = np.zeros(len(values)) if self._last.values is None else self._last.values
            # The driver of a rate has gone on until now.
            went_on = before * ((at_ns - self._last.at_ns) / self._robot.action_period_ns)
            moved = np.where(self._is_rate, went_on, values)
            self._workspace.note(np.where(self._is_delta, moved, 0.0), at_ns)
        self._start.note_told()
        self._last.note(values, at_ns)

    def hold(self, now_ns: int, at_ns: int, state: RobotState, *, has_let_go: bool) -> np.ndarray | None:
        """Compute the next command of a stop or of the hold after it.

        Tracked dofs come to rest and stay there, or move to where the arm rests (``Stop``).

        Args:
            now_ns: [ns, node clock].
            at_ns: [ns, steady].
            state: The measured state.
            has_let_go: Whether the arm obeys nobody, so that the hold follows it.

        Returns:
            (d,) NaN where an absolute dof was neither measured nor commanded; None while that is so for all.
        """
        values = self._last.standing(state)
        if not self.has_begun:
            values[self._index] = np.where(self._is_delta[self._index], 0.0, np.nan)
        elif self.is_tracked:
            self._start.note_command()
            self._measure(state, now_ns, at_ns)
            commanded, at_rest = self._tracker.positions, self._tracker.at_rest
            goals = self.stop.goals(commanded, state, now_ns, at_rest=at_rest, has_let_go=has_let_go)
            permits = self._permits(at_ns, state)
            if goals is None:
                self._tracker.stop(at_ns, emergency=self.stop.is_emergency, permits=permits)
            else:
                self._tracker.follow([MotionState(place, 0.0, 0.0) for place in goals], at_ns, permits)
            values = self._with_tracked(values)
        if np.isnan(values).all():
            return None
        self._note(values, at_ns)
        return values
