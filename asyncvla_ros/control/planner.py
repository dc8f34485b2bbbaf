"""The time-optimal path of one dof to a goal, by ruckig."""

from __future__ import annotations

import ruckig

from asyncvla_ros.control.motion import Bounds, MotionState, Phase, can_stop, cut, rest_position

# Share of each limit that plans keep in reserve, so that rounding cannot exceed the limit.
RESERVE = 1e-6
# Shares of a goal's velocity to try: reaching a position at speed may take a run-up first.
RUN_UPS = (1.0, 0.75, 0.5, 0.25, 0.0)
Hull = tuple[float, float]
"""Lowest and highest position [unit]."""


class Planner:
    """Plan the motion of one dof.

    Args:
        bounds: Its limits.
        is_delta: Whether the dof is a delta per step, whose goal is a velocity.
        ahead_s: Least time to a goal [s]: meeting it at once would take full jerk in every period.

    Attributes:
        errors: Count of errors that ruckig raised, other than finding no path.
    """

    def __init__(self, bounds: Bounds, ahead_s: float, *, is_delta: bool):
        self.errors = 0
        self._bounds, self._is_delta = bounds, is_delta
        self._ruckig = ruckig.Ruckig(1)
        self._trajectory = ruckig.Trajectory(1)
        self._input = given = ruckig.InputParameter(1)
        share = 1 - RESERVE
        self._max_velocity = share * max(bounds.max_velocity, -bounds.min_velocity)
        given.max_velocity = [self._max_velocity]
        given.max_acceleration = [share * bounds.acceleration]
        given.max_jerk = [share * bounds.jerk]
        if is_delta:
            given.control_interface = ruckig.ControlInterface.Velocity
        else:
            given.minimum_duration = ahead_s

    def feasible(self, goal: MotionState) -> MotionState:
        """Return the nearest goal that can be reached and left again within the limits."""
        bounds, share = self._bounds, 1 - RESERVE
        if self._is_delta:
            speed = min(max(goal.velocity, share * bounds.min_velocity), share * bounds.max_velocity)
            return MotionState(0.0, speed, 0.0)
        inset = RESERVE * (bounds.maximum - bounds.minimum)
        position = min(max(goal.position, bounds.minimum + inset), bounds.maximum - inset)
        if position == goal.position:
            # The run-up to a moving goal is the stop after it, reversed in time.
            velocity, acceleration = goal.velocity / share, goal.acceleration / share
            if can_stop(MotionState(position, velocity, acceleration), bounds) and can_stop(
                MotionState(position, -velocity, acceleration), bounds
            ):
                return goal
        return MotionState(position, 0.0, 0.0)

    def phases(
        self,
        state: MotionState,
        goal: MotionState,
        duration_s: float,
        velocity_share: float = 1.0,
        hull: Hull | None = None,
    ) -> list[Phase]:
        """Plan the first ``duration_s`` [s] of the path to the goal; empty if there is none.

        Args:
            state: Start.
            goal: End.
            duration_s: Length of the part to return [s].
            velocity_share: Share of the velocity limit to use.
            hull: Least and greatest position [unit] of the path, extended to the goal, the start and the
            position of a stop from there; the goal's velocity is lowered if needed. None: no such limit.
        """
        given = self._input
        speed = velocity_share * self._max_velocity
        given.max_velocity = [speed]
        given.current_position, given.target_position = [state.position], [goal.position]
        given.current_velocity, given.current_acceleration = [state.velocity], [state.acceleration]
        for share in RUN_UPS:
            given.target_velocity = [min(max(share * goal.velocity, -speed), speed)]
            given.target_acceleration = [share * goal.acceleration]
            try:
                if self._ruckig.calculate(given, self._trajectory) < 0:
                    return []
            except ruckig.RuckigError:
                # Ruckig finds no path where numbers are near its resolution: brake for a piece.
                self.errors += 1
                return []
            if self._is_delta or hull is None or self._stays(state, goal, hull):
                break
        profile = self._trajectory.profiles[0][0]
        brake = profile.brake
        before = zip(brake.t, brake.j, strict=True) if brake.duration else ()
        return cut([*before, *zip(profile.t, profile.j, strict=True)], duration_s)

    def _stays(self, state: MotionState, goal: MotionState, hull: Hull) -> bool:
        way = self._trajectory.position_extrema[0]
        slack = RESERVE * (self._bounds.maximum - self._bounds.minimum)
        low, high = min(*hull, state.position, goal.position), max(*hull, state.position, goal.position)
        if low - slack <= way.min and way.max <= high + slack:
            return True
        rest = rest_position(state, self._bounds)
        return min(low, rest) - slack <= way.min and way.max <= max(high, rest) + slack
