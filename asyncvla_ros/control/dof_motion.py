"""The commanded motion of one dof: towards a goal, to a stop, or on as it was sent."""

from __future__ import annotations

import math
from typing import NamedTuple

from asyncvla_ros.control.drive import GAP_PERIODS, Drive, quintic_s, stops_within
from asyncvla_ros.control.motion import Bounds, Path, Phase, State, end_within, stop_phases
from asyncvla_ros.control.planner import Hull, Planner
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import MotionLimits, following_limit, motion_limits, stop_limits

Move = tuple[Path | None, State]
"""A motion to its end at rest, None where nobody asks for it; and the state now."""
# How far ahead a goal is met [periods]: meeting it at once would take full jerk in every period.
HORIZON = 4
# A driver that follows trajectories gets so much more time than it needs to the first one's beginning.
ARRIVAL_SHARE = 1.1


class Step(NamedTuple):
    """One command, and the time since the one before.

    Attributes:
        at_ns: Now [ns, steady].
        since_ns: Since the command before [ns].
        was_acknowledged: Whether that one reached a driver.
        period_ns: Time between two commands, as it should be [ns].
        lead_ns: How long after it is sent a trajectory may differ from the one before [ns].
    """

    at_ns: int
    since_ns: int
    was_acknowledged: bool
    period_ns: int
    lead_ns: int

    @property
    def is_after_gap(self) -> bool:
        """Whether the command before is too long ago for a driver to go on by it."""
        return not 0 <= self.since_ns <= GAP_PERIODS * self.period_ns

    def begin_ns(self, kind: Drive) -> int:
        """From when on the motion of a dof with this driver can still be chosen [ns]."""
        if kind is Drive.TRAJECTORY:
            return self.at_ns + self.lead_ns
        if not self.was_acknowledged and kind is Drive.HELD:
            # The first command that is heard is where the arm is.
            return self.at_ns
        if not self.was_acknowledged or self.is_after_gap:
            return self.at_ns - self.period_ns
        # A change per step is made in one step, however late it is.
        return self.at_ns - (min(self.since_ns, self.period_ns) if kind is Drive.STEP else self.since_ns)

    def goal_ahead_ns(self, kind: Drive) -> int:
        """How long after now the goals of dofs with this driver are to be met [ns]."""
        return self.begin_ns(kind) + HORIZON * self.period_ns - self.at_ns


class DofMotion:
    """Moves of one dof, each of which keeps the invariant of ``JerkLimitedTracker``.

    It decides nothing: what it is asked for it answers, and ``path`` and ``state`` change when the tracker
    takes a move.

    Args:
        dof: With a velocity limit.
        kind: What its driver does between commands.
        period_ns: Time between two commands [ns].

    Attributes:
        bounds: Of its motion.
        state: As it is commanded now.
        path: The motion that was sent last; None where its driver is not sent one.
        limit_stops: How often it had to brake, because its plan would have led to a limit.
    """

    def __init__(self, dof: Dof, kind: Drive, period_ns: int):
        self.dof, self.kind = dof, kind
        self._period_ns = period_ns
        self.bounds = _bounds(dof, motion_limits(dof, period_ns / 1e9))
        self._stop_bounds = _bounds(dof, stop_limits(dof, period_ns / 1e9))
        self._planner = Planner(self.bounds, HORIZON * period_ns / 1e9, is_delta=dof.is_delta)
        self._margin = 0.0
        self.state = State(0.0, 0.0, 0.0)
        self.path: Path | None = None
        self.limit_stops = 0

    def refusal(self, position: float) -> str:
        """Why no motion begins at a measured position [unit], or an empty text.

        It is outside the limits if even the first jerk-limited step would not lead back inside.
        """
        if self._begins_anywhere(position) or self.dof.holds_command:
            return ""
        step = self.bounds.jerk * (self._period_ns / 1e9) ** 3 / 6
        if abs(position - self._inside(position)) <= step:
            return ""
        limits = f"[{self.bounds.minimum:g}, {self.bounds.maximum:g}]"
        return f"{self.dof.name} is measured at {position:.6g} {self.dof.unit}, outside {limits}"

    def rest_at(self, position: float) -> State:
        """The state at rest at a measured position [unit], or at the nearest one inside the limits."""
        is_free = self._begins_anywhere(position)
        return State(position if is_free else self._inside(position), 0.0, 0.0)

    def _begins_anywhere(self, position: float) -> bool:
        return self.dof.is_delta or (self.dof.holds_command and math.isnan(position))

    def _inside(self, position: float) -> float:
        return min(max(position, self.bounds.minimum), self.bounds.maximum)

    def set_measured(self, low: float, high: float) -> None:
        """Notes where changes have led to, at least and at most [unit]: how far they may still go."""
        if self.dof.is_delta:
            self._margin = high - low
            self.state = self.state._replace(position=low)

    def towards(self, goal: State, step: Step, share: float, hull: Hull | None, *, is_asked: bool) -> Move:
        """Move towards a goal, or a piece of the stop where that would lead to a limit.

        Args:
            goal: Where to be ``Step.goal_ahead_ns`` later, or as soon as possible.
            step: Of the command.
            share: Of the velocity limit that is used.
            hull: What the way keeps to, see ``Planner.phases``.
            is_asked: Whether the whole motion is wanted, the stop at its end included.
        """
        begin_ns, state = self._begin(step)
        if math.isnan(state.position):
            return self._first_goal(goal, step.at_ns)
        is_trajectory = self.kind is Drive.TRAJECTORY
        duration_s = (GAP_PERIODS * self._period_ns if is_trajectory else step.at_ns - begin_ns) / 1e9
        ways = self._planner.phases(state, self._planner.feasible(goal), duration_s, share, hull)
        bounds = self._bounds_from(state)
        after = end_within(state, ways, bounds) if ways else None
        if after is None or not stops_within(self.kind, state, after, bounds, self._period_ns):
            self.limit_stops += 1
            return self.braking(step)
        if not (is_trajectory or is_asked):
            return None, after
        ways += stop_phases(after.velocity, after.acceleration, self.bounds.acceleration, self.bounds.jerk)
        return self._joined(begin_ns, state, ways, step.at_ns)

    def _bounds_from(self, state: State) -> Bounds:
        """A dof that is a change may have been displaced from outside: never farther out than it is."""
        low, high = self.bounds.minimum, self.bounds.maximum - self._margin
        return self.bounds._replace(minimum=min(low, state.position), maximum=max(high, state.position))

    def braking(self, step: Step, *, is_emergency: bool = False) -> Move:
        """The quickest stop, within the limits of an emergency stop if it is one."""
        begin_ns, state = self._begin(step)
        if math.isnan(state.position):
            return None, state
        bounds = self._stop_bounds if is_emergency else self.bounds
        ways = stop_phases(state.velocity, state.acceleration, bounds.acceleration, bounds.jerk)
        return self._joined(begin_ns, state, ways, step.at_ns)

    def going_on(self, at_ns: int) -> Move:
        """The motion as it was sent, with the stop at its end, from ``at_ns`` [ns, steady] on."""
        if self.path is None or math.isnan(self.state.position):
            return None, self.state
        rest = Path(at_ns, self.path.at(at_ns), self.path.between(at_ns, self.path.end_ns))
        return rest, rest.at(at_ns)

    def _begin(self, step: Step) -> tuple[int, State]:
        """Time [ns] and state from which the motion goes on."""
        begin_ns, state = step.begin_ns(self.kind), self.state
        if self.kind is Drive.TRAJECTORY:
            return begin_ns, state if self.path is None else self.path.at(begin_ns)
        if step.is_after_gap:
            velocity = state.velocity if self.kind is Drive.RATE else 0.0
            state = State(state.position, velocity, 0.0)
        return begin_ns, state

    def _joined(self, begin_ns: int, state: State, ways: list[Phase], at_ns: int) -> tuple[Path, State]:
        """The new motion, after what a trajectory does until its branch; and the state now."""
        path = self.path
        if self.kind is not Drive.TRAJECTORY or path is None:
            new = Path(begin_ns, state, ways)
        elif path.start_ns > at_ns:
            # Its driver is still on its way to where it begins.
            new = path
        else:
            new = Path(at_ns, path.at(at_ns), [*path.between(at_ns, begin_ns), *ways])
            if new.is_standing:
                new = Path(at_ns, new.end, ())
        return new, new.at(at_ns)

    def _first_goal(self, goal: State, at_ns: int) -> Move:
        """A gripper that nobody measures is led to its first goal by its driver, with time for the way."""
        state = State(self._inside(goal.position), 0.0, 0.0)
        if self.kind is not Drive.TRAJECTORY:
            return None, state
        # It may stand outside of its range, and at the other end.
        way = self.bounds.maximum - self.bounds.minimum + following_limit(self.dof)
        return Path(at_ns + round(1e9 * ARRIVAL_SHARE * quintic_s(way, self.bounds)), state, ()), state

    @property
    def command(self) -> float:
        """Position of a target [unit], or change per period [unit]."""
        return self.state.velocity * (self._period_ns / 1e9) if self.dof.is_delta else self.state.position

    @property
    def planner_errors(self) -> int:
        """How often ruckig raised an error, and a piece of the stop was taken instead."""
        return self._planner.errors

    @property
    def at_rest(self) -> bool:
        """Whether it does not move any more, the rest of a trajectory included."""
        if not self.state.velocity == self.state.acceleration == 0:
            return False
        return self.kind is not Drive.TRAJECTORY or self.path is None or self.path.is_standing


def _bounds(dof: Dof, limits: MotionLimits) -> Bounds:
    low, high = dof.minimum, dof.maximum
    if dof.is_delta:
        space = dof.workspace
        low, high = (-math.inf, math.inf) if space is None else (space.minimum, space.maximum)
    return Bounds(low, high, limits.min_velocity, limits.max_velocity, limits.acceleration, limits.jerk)
