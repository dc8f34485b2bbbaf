"""Turns due actions and holds into commands: clamp -> workspace -> authority -> jerk-limited tracking."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.motion import State
from asyncvla_ros.control.reference import reference
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.safety import Limiter
from asyncvla_ros.control.tracker import HORIZON, Tracker, tracked
from asyncvla_ros.control.workspace import Workspace
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import ContractError

# A measurement shows where an arm rests only so long after its command came to rest [s].
SETTLE_S = 0.1


class Follower:
    """What is commanded, one command after the other, whatever is asked for.

    Dofs with a velocity limit are tracked (``Tracker``); the others are clamped and passed on at once.

    Args:
        robot: Dofs, limits, rates and the time in which the authority ramps up.

    Raises:
        ContractError: a tracked target or a workspace has no measured state to begin with.
    """

    def __init__(self, robot: RobotContract):
        self._robot = robot
        self._check_states()
        self._is_delta = np.array([dof.is_delta for dof in robot.dofs])
        self._limiter = Limiter(robot.dofs)
        self._workspace = Workspace(robot.dofs)
        self._index = tracked(robot.dofs)
        self._tracker = self._make_tracker()
        self._has_begun = self._tracker is None
        self._has_commanded = False
        self._last_values: np.ndarray | None = None
        self._held: np.ndarray | None = None
        self._ramp_ns: int | None = None
        self._ramp_start = np.zeros(len(robot.dofs))
        self.halt()

    def _check_states(self) -> None:
        names = self._robot.state_names
        for dof in self._robot.dofs:
            where = f"{self._robot.name}: dof {dof.name}"
            choices = f"the robot's states are {', '.join(names)}"
            is_placed = dof.is_delta or dof.holds_command or dof.name in names
            if dof.velocity is not None and not is_placed:
                raise ContractError(
                    f"{where} has a velocity limit, so its motion begins where it is measured, but no state "
                    f"has its name; {choices} (a gripper that is not measured needs hold: commanded)"
                )
            if dof.workspace is not None and dof.workspace.state not in names:
                raise ContractError(f"{where} has a workspace of {dof.workspace.state!r}; {choices}")

    def _make_tracker(self) -> Tracker | None:
        if not len(self._index):
            return None
        return Tracker([self._robot.dofs[i] for i in self._index], self._robot.period_ns / 1e9)

    @property
    def is_tracked(self) -> bool:
        """Whether any dof is tracked, so that commands are samples of one motion."""
        return self._tracker is not None

    @property
    def is_continuous(self) -> bool:
        """Whether commands go on between two due actions: targets are tracked, and nothing is a change."""
        return self._tracker is not None and not self._is_delta.any()

    @property
    def may_begin(self) -> bool:
        """Whether nothing was commanded yet: until then others may move the arm, and it begins anew."""
        return self._tracker is not None and not self._has_commanded

    @property
    def at_rest(self) -> bool:
        """Whether what was commanded last stands still."""
        return self._tracker is None or not self._has_begun or self._tracker.at_rest

    @property
    def velocity(self) -> np.ndarray | None:
        """(d,) float64 with which targets move as commanded [unit/s]; None: nothing is tracked."""
        if self._tracker is None:
            return None
        velocity = np.zeros(len(self._robot.dofs))
        velocity[self._index] = self._tracker.velocities
        velocity[self._is_delta] = 0.0
        return velocity

    @property
    def counts(self) -> np.ndarray:
        """(d,) int64, how often each dof was clamped."""
        return self._limiter.counts

    @property
    def braked(self) -> int:
        """How often a tracked dof had to brake, because its plan would have led to a limit."""
        return 0 if self._tracker is None else self._tracker.braked

    def begin(self, state: RobotState) -> str:
        """Takes the measured pose as the commanded one; why the arm cannot be moved from there, or empty."""
        assert self._tracker is not None
        problem = self._tracker.begin(self._measured(state))
        self._has_begun = not problem
        return problem

    def _measured(self, state: RobotState) -> list[float]:
        dofs = [self._robot.dofs[i] for i in self._index]
        return [0.0 if dof.is_delta else state.value(dof.name) for dof in dofs]

    def rest(self) -> None:
        """See ``Controller.paused``."""
        if self._tracker is not None:
            self._tracker.rest()

    def restart_ramp(self) -> None:
        """The authority ramps up again, from the next action on."""
        self._ramp_ns = None

    def forget_times(self) -> None:
        """After a jump of the clock."""
        self._workspace.forget()
        self.restart_ramp()
        self.halt()

    def follow(
        self, action: ScheduledAction, is_new: bool, now_ns: int, elapsed_ns: int, state: RobotState
    ) -> np.ndarray:
        """The command for the action due now.

        Args:
            action: The action.
            is_new: Whether it is handed out for the first time, rather than still due.
            now_ns: [ns, node clock].
            elapsed_ns: Time since the command before [ns], at most a period.
            state: The measured state.

        Returns:
            (d,) physical units; float64 if anything is tracked, else float32.
        """
        self._held = None
        self._has_commanded = True
        self.halt()
        if is_new:
            self._clamped = self._limiter.clamp(action.values)
        values, authority = self._clamped, self._authority(now_ns)
        if authority < 1:
            values = np.where(self._is_delta, np.float32(authority) * values, values)
        positions = self._workspace.positions(state)
        if not self._workspace.is_empty:
            values = self._workspace.clamp(values, positions).astype(np.float32)
        if self._tracker is not None:
            ahead_ns = HORIZON * self._robot.period_ns - elapsed_ns
            goal, slope, bend = reference(action.chunk, now_ns + ahead_ns)
            start = np.where(np.isnan(self._ramp_start), goal, self._ramp_start)
            goal = start + authority * (goal - start)
            slope = np.where(self._is_delta, values * (1e9 / self._robot.period_ns), authority * slope)
            goals = zip(goal.tolist(), slope.tolist(), (authority * bend).tolist(), strict=True)
            states = [State(*one) for one in goals]
            self._tracker.anchor(positions[self._index].tolist())
            self._tracker.follow([states[i] for i in self._index], elapsed_ns / 1e9)
            values = self._with_tracked(values)
        self._last_values = values
        self._workspace.note(values, now_ns)
        return values

    def _authority(self, now_ns: int) -> float:
        """Share of the way from where the ramp began to what the policy wants: 0 to 1."""
        if self._ramp_ns is None:
            self._ramp_ns = now_ns
            if self._tracker is not None:
                self._ramp_start[self._index] = self._tracker.positions
        if not self._robot.ramp_s:
            return 1.0
        return min(1.0, (now_ns - self._ramp_ns) / 1e9 / self._robot.ramp_s)

    def _with_tracked(self, values: np.ndarray) -> np.ndarray:
        assert self._tracker is not None
        merged = values.astype(np.float64)
        merged[self._index] = self._tracker.commands
        return merged

    def latch(self, state: RobotState) -> None:
        """A hold begins: untracked dofs keep what is measured now, unless a hold is on already."""
        if self._held is None:
            # Latched once: following the measured pose while holding would let the arm sag.
            self._held = self._hold_values(state)

    def halt(self) -> None:
        """Tracked dofs come to rest first, whatever hold they were moving to."""
        self._rest_ns: int | None = None
        self._target: list[float] | None = None

    def hold(self, now_ns: int, elapsed_ns: int, state: RobotState) -> np.ndarray | None:
        """The next command of a stop and of the hold after it, (d,); None while there is nothing to hold.

        Tracked targets come to rest, wait until a measurement shows where the arm rests, and go there; while
        there is none they stay where they came to rest.
        """
        if self._held is None or self._tracker is None or not self._has_begun:
            return self._held if self._has_begun else None
        self._has_commanded = True
        self._tracker.anchor(self._workspace.positions(state)[self._index].tolist())
        if self._target is None and self._tracker.at_rest:
            self._target = self._resting_pose(now_ns, state)
        if self._target is None:
            self._tracker.stop(elapsed_ns / 1e9)
        else:
            goals = [State(position, 0.0, 0.0) for position in self._target]
            self._tracker.follow(goals, elapsed_ns / 1e9)
        values = self._with_tracked(self._held)
        self._workspace.note(values, now_ns)
        return values

    def _resting_pose(self, now_ns: int, state: RobotState) -> list[float] | None:
        if self._rest_ns is None:
            self._rest_ns = now_ns
        dofs = [self._robot.dofs[i] for i in self._index]
        stamps = [state.stamp_ns(dof.name) for dof in dofs if not (dof.is_delta or dof.holds_command)]
        settled_ns = self._rest_ns + round(SETTLE_S * 1e9)
        if not stamps or any(stamp is None or stamp < settled_ns for stamp in stamps):
            return None
        assert self._tracker is not None
        places = zip(dofs, self._measured(state), self._tracker.positions, strict=True)
        return [commanded if dof.holds_command else measured for dof, measured, commanded in places]

    @property
    def can_hold(self) -> bool:
        """Whether there is something to hold before the first action: every target is measured."""
        return all(dof.is_delta or dof.name in self._robot.state_names for dof in self._robot.dofs)

    def _hold_values(self, state: RobotState) -> np.ndarray | None:
        """(d,) float32 that stand still, or None while a target is known neither by report nor by command."""
        values = np.zeros(len(self._robot.dofs), np.float32)
        for index, dof in enumerate(self._robot.dofs):
            if dof.is_delta:
                continue
            measured = state.value(dof.name)
            if self._last_values is not None and (dof.holds_command or not np.isfinite(measured)):
                values[index] = self._last_values[index]
            elif np.isfinite(measured):
                values[index] = measured
            else:
                return None
        return values
