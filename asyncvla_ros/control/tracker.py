"""Follows a reference without ever exceeding velocity, acceleration, jerk or range of a dof."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import ruckig

from asyncvla_ros.control.motion import Bounds, Phase, State, can_stop, cut, move, stays_within, stop
from asyncvla_ros.robot.contract import Dof

# Plans keep this share of each limit in reserve, so that rounding in a plan cannot reach the limit itself.
RESERVE = 1e-6
# How far ahead a reference is met [periods]: meeting it at once would take full jerk in every period.
HORIZON = 4


class Tracker:
    """The commanded motion of the dofs that have a velocity limit, one command after the other.

    ::

        state (can stop in time) ──ruckig: time-optimal towards the reference──> next state
                                                  │ can it still stop within the limits?
                                        yes: that ┴ no: a piece of the quickest stop instead

    The invariant is *the quickest stop from the present state stays within every limit*. It holds at rest; a
    planned state is taken only if it holds there too; and the stop itself keeps it. So whatever the
    references are, the motion is a C² curve whose velocity, acceleration and jerk keep their limits, and
    divided differences of its samples are weighted means of those derivatives: they keep the limits as well.

    A dof that is a change per step is followed as a velocity; its position is where the change would lead.
    Where acceleration or jerk has no limit, what the velocity limit can use within two periods is taken.

    Args:
        dofs: Those with a velocity limit, in order.
        period_s: Time between two commands [s]; a command that answers a new chunk may come sooner.
    """

    def __init__(self, dofs: Sequence[Dof], period_s: float):
        self._dofs = tuple(dofs)
        self._period_s = period_s
        self._bounds = [_bounds(dof, period_s) for dof in dofs]
        self._states = [State(0.0, 0.0, 0.0) for _ in dofs]
        self._before = [0.0 for _ in dofs]
        self._elapsed_s = period_s
        self._plans = [
            _Plan(bounds, dof.is_delta, HORIZON * period_s)
            for dof, bounds in zip(dofs, self._bounds, strict=True)
        ]
        self._braked = 0

    def begin(self, positions: Sequence[float]) -> str:
        """Starts at rest at the measured positions (k,); why that is impossible, or an empty text.

        A target begins outside its limits if even the first jerk-limited step would not lead back inside:
        the arm would have to jump, or to be commanded outside. Both are refused. A gripper, which holds its
        command, begins at the nearest position inside, or at its first goal where it is not measured (NaN).
        """
        outside = []
        states = []
        for dof, bounds, position in zip(self._dofs, self._bounds, positions, strict=True):
            if dof.holds_command and math.isnan(position):
                states.append(State(math.nan, 0.0, 0.0))
                continue
            inside = min(max(position, bounds.minimum), bounds.maximum)
            if not (dof.holds_command or abs(position - inside) <= bounds.jerk * self._period_s**3 / 6):
                limits = f"[{bounds.minimum:g}, {bounds.maximum:g}]"
                outside.append(f"{dof.name} is measured at {position:.6g} {dof.unit}, outside {limits}")
            states.append(State(inside, 0.0, 0.0))
        if not outside:
            self._states = states
        return "; ".join(outside)

    def anchor(self, positions: Sequence[float]) -> None:
        """Where the dofs that are changes are now (k,), which decides how far they may still go."""
        self._states = [
            state._replace(position=position) if dof.is_delta else state
            for dof, state, position in zip(self._dofs, self._states, positions, strict=True)
        ]

    def follow(self, goals: Sequence[State], elapsed_s: float | None = None) -> None:
        """One command towards a reference.

        Args:
            goals: (k,) where to be ``HORIZON`` periods after the present command, or as soon as possible; of
                dofs that are changes only the velocity counts.
            elapsed_s: Time since the command before [s], at most a period; None: a period.
        """
        self._begin_command(elapsed_s)
        self._states = [self._towards(index, goal) for index, goal in enumerate(goals)]

    def rest(self) -> None:
        """Stands still at once where it is, without a way to brake."""
        self._states = [State(state.position, 0.0, 0.0) for state in self._states]

    def stop(self, elapsed_s: float | None = None) -> None:
        """One command of the quickest stop, as ``follow``; at rest it stays where it is."""
        self._begin_command(elapsed_s)
        self._states = [
            stop(state, bounds, self._elapsed_s)
            for state, bounds in zip(self._states, self._bounds, strict=True)
        ]

    def _begin_command(self, elapsed_s: float | None) -> None:
        self._elapsed_s = self._period_s if elapsed_s is None else elapsed_s
        self._before = [state.position for state in self._states]

    def _towards(self, index: int, goal: State) -> State:
        """The state of the next command."""
        state, bounds, plan = self._states[index], self._bounds[index], self._plans[index]
        if math.isnan(state.position):
            return State(min(max(goal.position, bounds.minimum), bounds.maximum), 0.0, 0.0)
        phases = plan.phases(state, self._feasible(index, goal), self._elapsed_s)
        # A dof that is a change may have been displaced from outside: never farther out than it is.
        low, high = min(bounds.minimum, state.position), max(bounds.maximum, state.position)
        bounds = bounds._replace(minimum=low, maximum=high)
        after = state
        for phase in phases:
            after = move(after, phase)
        if phases and stays_within(state, phases, bounds) and can_stop(after, bounds):
            return after
        self._braked += 1
        return stop(state, bounds, self._elapsed_s)

    def _feasible(self, index: int, goal: State) -> State:
        """The nearest goal that can be reached and left again within the limits."""
        bounds, share = self._bounds[index], 1 - RESERVE
        if self._dofs[index].is_delta:
            speed = min(max(goal.velocity, share * bounds.min_velocity), share * bounds.max_velocity)
            return State(0.0, speed, 0.0)
        inset = RESERVE * (bounds.maximum - bounds.minimum)
        position = min(max(goal.position, bounds.minimum + inset), bounds.maximum - inset)
        if position == goal.position:
            # The run-up to a moving goal is the way to stop after it, backwards in time.
            velocity, acceleration = goal.velocity / share, goal.acceleration / share
            if can_stop(State(position, velocity, acceleration), bounds) and can_stop(
                State(position, -velocity, acceleration), bounds
            ):
                return goal
        return State(position, 0.0, 0.0)

    @property
    def commands(self) -> list[float]:
        """(k,) positions of targets [unit], changes since the command before of the others [unit]."""
        return [
            state.position - before if dof.is_delta else state.position
            for dof, state, before in zip(self._dofs, self._states, self._before, strict=True)
        ]

    @property
    def positions(self) -> list[float]:
        """(k,) commanded positions [unit]."""
        return [state.position for state in self._states]

    @property
    def velocities(self) -> list[float]:
        """(k,) commanded velocities [unit/s]."""
        return [state.velocity for state in self._states]

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves."""
        return all(state.velocity == 0 and state.acceleration == 0 for state in self._states)

    @property
    def braked(self) -> int:
        """How often a dof had to brake, because the plan towards its reference could not be taken."""
        return self._braked


class _Plan:
    """Ruckig for one dof."""

    def __init__(self, bounds: Bounds, is_delta: bool, horizon_s: float):
        self._ruckig = ruckig.Ruckig(1)
        self._trajectory = ruckig.Trajectory(1)
        self._input = given = ruckig.InputParameter(1)
        share = 1 - RESERVE
        given.max_velocity = [share * max(bounds.max_velocity, -bounds.min_velocity)]
        given.max_acceleration = [share * bounds.acceleration]
        given.max_jerk = [share * bounds.jerk]
        if is_delta:
            given.control_interface = ruckig.ControlInterface.Velocity
        else:
            given.minimum_duration = horizon_s

    def phases(self, state: State, goal: State, duration_s: float) -> list[Phase]:
        """The first ``duration_s`` [s] of the way to the goal; empty if none was found."""
        given = self._input
        given.current_position, given.target_position = [state.position], [goal.position]
        given.current_velocity, given.target_velocity = [state.velocity], [goal.velocity]
        given.current_acceleration, given.target_acceleration = [state.acceleration], [goal.acceleration]
        if self._ruckig.calculate(given, self._trajectory) < 0:
            return []
        profile = self._trajectory.profiles[0][0]
        brake = profile.brake
        before = zip(brake.t, brake.j, strict=True) if brake.duration else ()
        return cut([*before, *zip(profile.t, profile.j, strict=True)], duration_s)


def _bounds(dof: Dof, period_s: float) -> Bounds:
    assert dof.velocity is not None
    acceleration = dof.acceleration or 2 * dof.velocity / period_s
    jerk = dof.jerk or 2 * acceleration / period_s
    if not dof.is_delta:
        return Bounds(dof.minimum, dof.maximum, -dof.velocity, dof.velocity, acceleration, jerk)
    space = dof.workspace
    return Bounds(
        -math.inf if space is None else space.minimum,
        math.inf if space is None else space.maximum,
        max(-dof.velocity, dof.minimum / period_s),
        min(dof.velocity, dof.maximum / period_s),
        acceleration,
        jerk,
    )


def tracked(dofs: Sequence[Dof]) -> np.ndarray:
    """(k,) int64, which dofs have a velocity limit and are thus followed by a ``Tracker``."""
    return np.array([i for i, dof in enumerate(dofs) if dof.velocity is not None], np.int64)
