"""The commanded motion of one dof: to a goal, to a stop, or on along the path that was sent."""

from __future__ import annotations

import math
from typing import NamedTuple

from asyncvla_ros.control.drive import GAP_PERIODS, Drive, quintic_s, stops_within
from asyncvla_ros.control.motion import Bounds, MotionState, Path, Phase, end_within, stop_phases
from asyncvla_ros.control.planner import Hull, Planner
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import MotionLimits, following_limit, motion_limits, stop_limits

Move = tuple[Path | None, MotionState]
"""A motion to its end at rest, or None if not needed, and the state now."""
# Time to a goal [periods]: meeting it at once would take full jerk in every period.
HORIZON = 4
# Factor on the time that a trajectory driver needs to the start of its first trajectory.
ARRIVAL_SHARE = 1.1


class Step(NamedTuple):
    """The time of one command and of the one before it.

    Attributes:
        at_ns: Now [ns, steady].
        since_ns: Time since the previous command [ns].
        was_acknowledged: Whether the previous command reached a driver.
        command_period_ns: Nominal time between two commands [ns].
        lead_ns: Time after sending from which a trajectory may differ from the previous one [ns].
    """

    at_ns: int
    since_ns: int
    was_acknowledged: bool
    command_period_ns: int
    lead_ns: int

    @property
    def is_after_gap(self) -> bool:
        """Whether a driver has stopped following the previous command, because it is too old."""
        return not 0 <= self.since_ns <= GAP_PERIODS * self.command_period_ns

    def begin_ns(self, kind: Drive) -> int:
        """Return the earliest time at which the motion for this driver can still change [ns]."""
        if kind is Drive.TRAJECTORY:
            return self.at_ns + self.lead_ns
        if not self.was_acknowledged and kind is Drive.HELD:
            # The first command that reaches a driver is where the arm is.
            return self.at_ns
        if not self.was_acknowledged or self.is_after_gap:
            return self.at_ns - self.command_period_ns
        # A driver makes a delta within one step, however late it is.
        return self.at_ns - (
            min(self.since_ns, self.command_period_ns) if kind is Drive.STEP else self.since_ns
        )

    def goal_ahead_ns(self, kind: Drive) -> int:
        """Return the time from now to the goals of dofs with this driver [ns]."""
        return self.begin_ns(kind) + HORIZON * self.command_period_ns - self.at_ns


class DofMotion:
    """Compute moves of one dof that keep the invariant of ``JerkLimitedTracker``.

    It decides nothing: it answers what the tracker asks, which then sets ``path`` and ``state``.

    Args:
        dof: With a velocity limit.
        kind: What its driver does between commands.
        command_period_ns: Time between two commands [ns].

    Attributes:
        bounds: Of its motion.
        state: As it is commanded now.
        path: The motion that was sent last; None where its driver is not sent one.
        limit_stops: How often it had to brake, because its plan would have led to a limit.
    """

    def __init__(self, dof: Dof, kind: Drive, command_period_ns: int):
        self.dof, self.kind = dof, kind
        self._command_period_ns = command_period_ns
        self.bounds = _bounds(dof, motion_limits(dof, command_period_ns / 1e9))
        self._stop_bounds = _bounds(dof, stop_limits(dof, command_period_ns / 1e9))
        self._planner = Planner(self.bounds, HORIZON * command_period_ns / 1e9, is_delta=dof.is_delta)
        self._margin = 0.0
        self.state = MotionState(0.0, 0.0, 0.0)
        self.path: Path | None = None
        self.limit_stops = 0

    def refusal(self, position: float) -> str:
        """Return why motion cannot begin at a measured position [unit]; an empty text if it can.

        A position counts as outside the limits if the first jerk-limited step would not lead back inside.
        """
        if self._begins_anywhere(position) or self.dof.holds_command:
            return ""
        step = self.bounds.jerk * (self._command_period_ns / 1e9) ** 3 / 6
        if abs(position - self._inside(position)) <= step:
            return ""
        limits = f"[{self.bounds.minimum:g}, {self.bounds.maximum:g}]"
        return f"{self.dof.name} is measured at {position:.6g} {self.dof.unit}, outside {limits}"

    def rest_at(self, position: float) -> MotionState:
        """Return the state at rest at a measured position [unit], or at the nearest one inside the limits."""
        is_free = self._begins_anywhere(position)
        return MotionState(position if is_free else self._inside(position), 0.0, 0.0)

    def _begins_anywhere(self, position: float) -> bool:
        return self.dof.is_delta or (self.dof.holds_command and math.isnan(position))

    def _inside(self, position: float) -> float:
        return min(max(position, self.bounds.minimum), self.bounds.maximum)

    def set_measured(self, low: float, high: float) -> None:
        """Note the least and greatest position of a delta dof [unit], which bounds its further motion."""
        if self.dof.is_delta:
            self._margin = high - low
            self.state = self.state._replace(position=low)

    def towards(
        self, goal: MotionState, step: Step, share: float, hull: Hull | None, *, is_asked: bool
    ) -> Move:
        """Move towards a goal, or a piece of the stop where that would lead to a limit.

        Args:
            goal: Where to be ``Step.goal_ahead_ns`` later, or as soon as possible.
            step: Of the command.
            share: Share of the velocity limit to use.
            hull: Positions the path stays between, see ``Planner.phases``.
            is_asked: Whether the move must contain the whole motion with the stop at its end.
        """
        begin_ns, state = self._begin(step)
        if math.isnan(state.position):
            return self._first_goal(goal, step.at_ns)
        is_trajectory = self.kind is Drive.TRAJECTORY
        duration_s = (GAP_PERIODS * self._command_period_ns if is_trajectory else step.at_ns - begin_ns) / 1e9
        ways = self._planner.phases(state, self._planner.feasible(goal), duration_s, share, hull=hull)
        bounds = self._bounds_from(state)
        after = end_within(state, ways, bounds) if ways else None
        if after is None or not stops_within(
            self.kind, state, after, bounds, command_period_ns=self._command_period_ns
        ):
            self.limit_stops += 1
            return self.braking(step)
        if not (is_trajectory or is_asked):
            return None, after
        ways += stop_phases(after.velocity, after.acceleration, self.bounds.acceleration, self.bounds.jerk)
        return self._joined(begin_ns, state, ways, step.at_ns)

    def _bounds_from(self, state: MotionState) -> Bounds:
        """Return the bounds, widened to a delta dof that was pushed outside: it never goes farther out."""
        low, high = self.bounds.minimum, self.bounds.maximum - self._margin
        return self.bounds._replace(minimum=min(low, state.position), maximum=max(high, state.position))

    def braking(self, step: Step, *, is_emergency: bool = False) -> Move:
        """Compute the quickest stop, within the limits of an emergency stop if it is one."""
        begin_ns, state = self._begin(step)
        if math.isnan(state.position):
            return None, state
        bounds = self._stop_bounds if is_emergency else self.bounds
        ways = stop_phases(state.velocity, state.acceleration, bounds.acceleration, bounds.jerk)
        return self._joined(begin_ns, state, ways, step.at_ns)

    def going_on(self, at_ns: int) -> Move:
        """Return the sent motion from ``at_ns`` [ns, steady] on, with the stop at its end."""
        if self.path is None or math.isnan(self.state.position):
            return None, self.state
        rest = Path(at_ns, self.path.at(at_ns), self.path.between(at_ns, self.path.end_ns))
        return rest, rest.at(at_ns)

    def _begin(self, step: Step) -> tuple[int, MotionState]:
        """Return the time [ns] and the state from which the motion continues."""
        begin_ns, state = step.begin_ns(self.kind), self.state
        if self.kind is Drive.TRAJECTORY:
            return begin_ns, state if self.path is None else self.path.at(begin_ns)
        if step.is_after_gap:
            velocity = state.velocity if self.kind is Drive.RATE else 0.0
            state = MotionState(state.position, velocity, 0.0)
        return begin_ns, state

    def _joined(
        self, begin_ns: int, state: MotionState, ways: list[Phase], at_ns: int
    ) -> tuple[Path, MotionState]:
        """Join the new motion to the sent trajectory at the branch; return it and the state now."""
        path = self.path
        if self.kind is not Drive.TRAJECTORY or path is None:
            new = Path(begin_ns, state, ways)
        elif path.start_ns > at_ns:
            # The driver is still on its way to the start.
            new = path
        else:
            new = Path(at_ns, path.at(at_ns), [*path.between(at_ns, begin_ns), *ways])
            if new.is_standing:
                new = Path(at_ns, new.end, ())
        return new, new.at(at_ns)

    def _first_goal(self, goal: MotionState, at_ns: int) -> Move:
        """Give the driver of an unmeasured gripper time for the way to the first goal."""
        state = MotionState(self._inside(goal.position), 0.0, 0.0)
        if self.kind is not Drive.TRAJECTORY:
            return None, state
        # The gripper may stand outside of its range, or at the other end.
        way = self.bounds.maximum - self.bounds.minimum + following_limit(self.dof)
        return Path(at_ns + round(1e9 * ARRIVAL_SHARE * quintic_s(way, self.bounds)), state, ()), state

    @property
    def command(self) -> float:
        """Position of an absolute dof [unit], or delta per period [unit]."""
        return (
            self.state.velocity * (self._command_period_ns / 1e9)
            if self.dof.is_delta
            else self.state.position
        )

    @property
    def planner_errors(self) -> int:
        """Count of errors of ruckig, each answered by a piece of the stop."""
        return self._planner.errors

    @property
    def at_rest(self) -> bool:
        """Whether the dof stands still, also along the rest of its trajectory."""
        if not self.state.velocity == self.state.acceleration == 0:
            return False
        return self.kind is not Drive.TRAJECTORY or self.path is None or self.path.is_standing


def _bounds(dof: Dof, limits: MotionLimits) -> Bounds:
    low, high = dof.minimum, dof.maximum
    if dof.is_delta:
        space = dof.workspace
        low, high = (-math.inf, math.inf) if space is None else (space.minimum, space.maximum)
    return Bounds(
        low,
        high,
        limits.min_velocity,
        limits.max_velocity,
        acceleration=limits.acceleration,
        jerk=limits.jerk,
    )
