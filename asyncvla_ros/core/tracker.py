"""Follows a reference without ever exceeding velocity, acceleration, jerk or range of a dof."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import ruckig

from asyncvla_ros.core.motion import Bounds, State, can_stop, cut, move, stays_within, stop
from asyncvla_ros.core.robot_contract import Dof

# Plans keep this share of each limit in reserve, so that rounding in a plan cannot reach the limit itself.
RESERVE = 1e-6


class Tracker:
    """The commanded motion of the dofs that have a velocity limit, one control period after the other.

    ::

        state (can stop in time) ──ruckig: time-optimal towards the reference──> next state
                                                  │ can it still stop within the limits?
                                        yes: that ┴ no: one period of the quickest stop instead

    The invariant is *the quickest stop from the present state stays within every limit*. It holds at rest; a
    planned state is taken only if it holds there too; and the stop itself keeps it. So whatever the
    references are, the motion is a C² curve whose velocity, acceleration and jerk keep their limits, and
    divided differences of its samples are weighted means of those derivatives: they keep the limits as well.

    A dof that is a change per step is followed as a velocity; its position is where the change would lead.
    Where acceleration or jerk has no limit, what the velocity limit can use within two periods is taken.

    Args:
        dofs: Those with a velocity limit, in order.
        period_s: Time between two commands [s].
    """

    def __init__(self, dofs: Sequence[Dof], period_s: float):
        self._dofs = tuple(dofs)
        self._period_s = period_s
        self._bounds = [_bounds(dof, period_s) for dof in dofs]
        self._states = [State(0.0, 0.0, 0.0) for _ in dofs]
        self._before = [0.0 for _ in dofs]
        self._plan = ruckig.Ruckig(len(self._dofs))
        self._trajectory = ruckig.Trajectory(len(self._dofs))
        self._input = self._plan_input()
        self._fallbacks = 0

    def _plan_input(self) -> ruckig.InputParameter:
        given = ruckig.InputParameter(len(self._dofs))
        share = 1 - RESERVE
        given.max_velocity = [share * max(b.max_velocity, -b.min_velocity) for b in self._bounds]
        given.max_acceleration = [share * b.acceleration for b in self._bounds]
        given.max_jerk = [share * b.jerk for b in self._bounds]
        given.synchronization = ruckig.Synchronization.No
        given.per_dof_control_interface = [
            ruckig.ControlInterface.Velocity if dof.is_delta else ruckig.ControlInterface.Position
            for dof in self._dofs
        ]
        return given

    def begin(self, positions: Sequence[float]) -> str:
        """Starts at rest at the measured positions (k,); why that is impossible, or an empty text.

        A target begins outside its limits if even the first jerk-limited step would not lead back inside:
        the arm would have to jump, or to be commanded outside. Both are refused.
        """
        outside = []
        states = []
        for dof, bounds, position in zip(self._dofs, self._bounds, positions, strict=True):
            inside = min(max(position, bounds.minimum), bounds.maximum)
            if not abs(position - inside) <= bounds.jerk * self._period_s**3 / 6:
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

    def follow(self, positions: Sequence[float], velocities: Sequence[float]) -> None:
        """One period towards a reference.

        Args:
            positions: (k,) [unit]; without meaning for dofs that are changes.
            velocities: (k,) of the reference [unit/s]; 0 is taken where it could not be kept up.
        """
        self._before = [state.position for state in self._states]
        plans = self._planned(positions, velocities)
        self._states = [
            self._checked(state, plan, bounds)
            for state, plan, bounds in zip(self._states, plans, self._bounds, strict=True)
        ]

    def stop(self) -> None:
        """One period of the quickest stop; at rest it stays where it is."""
        self._before = [state.position for state in self._states]
        self._states = [
            stop(state, bounds, self._period_s)
            for state, bounds in zip(self._states, self._bounds, strict=True)
        ]

    def _planned(
        self, positions: Sequence[float], velocities: Sequence[float]
    ) -> list[list[tuple[float, float]]]:
        """Phases of the coming period for each dof; none where no plan was found."""
        given = self._input
        targets = [self._target(i, p, v) for i, (p, v) in enumerate(zip(positions, velocities, strict=True))]
        given.current_position = [state.position for state in self._states]
        given.current_velocity = [state.velocity for state in self._states]
        given.current_acceleration = [state.acceleration for state in self._states]
        given.target_position = [position for position, _ in targets]
        given.target_velocity = [velocity for _, velocity in targets]
        if self._plan.calculate(given, self._trajectory) < 0:
            return [[] for _ in self._dofs]
        return [
            cut(
                (
                    *zip(profile.brake.t, profile.brake.j, strict=True),
                    *zip(profile.t, profile.j, strict=True),
                ),
                self._period_s,
            )
            for profile in self._trajectory.profiles[0]
        ]

    def _target(self, index: int, position: float, velocity: float) -> tuple[float, float]:
        """The nearest reference that can be reached and left again within the limits."""
        bounds, share = self._bounds[index], 1 - RESERVE
        if self._dofs[index].is_delta:
            return 0.0, min(max(velocity, share * bounds.min_velocity), share * bounds.max_velocity)
        inset = RESERVE * (bounds.maximum - bounds.minimum)
        position = min(max(position, bounds.minimum + inset), bounds.maximum - inset)
        # To arrive with a velocity takes a run-up as long as the way to stop afterwards.
        moving = (State(position, speed, 0.0) for speed in (velocity / share, -velocity / share))
        return position, velocity if velocity and all(can_stop(s, bounds) for s in moving) else 0.0

    def _checked(self, state: State, plan: list[tuple[float, float]], bounds: Bounds) -> State:
        # A dof that is a change may have been displaced from outside: never farther out than it is.
        low, high = min(bounds.minimum, state.position), max(bounds.maximum, state.position)
        bounds = bounds._replace(minimum=low, maximum=high)
        after = state
        for phase in plan:
            after = move(after, phase)
        if plan and stays_within(state, plan, bounds) and can_stop(after, bounds):
            return after
        self._fallbacks += 1
        return stop(state, bounds, self._period_s)

    @property
    def commands(self) -> list[float]:
        """(k,) positions of targets [unit], changes in the last period of the others [unit]."""
        return [
            state.position - before if dof.is_delta else state.position
            for dof, state, before in zip(self._dofs, self._states, self._before, strict=True)
        ]

    @property
    def positions(self) -> list[float]:
        """(k,) commanded positions [unit]."""
        return [state.position for state in self._states]

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves."""
        return all(state.velocity == 0 and state.acceleration == 0 for state in self._states)

    @property
    def fallbacks(self) -> int:
        """How often a dof had to brake because the plan towards its reference could not be taken."""
        return self._fallbacks


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
