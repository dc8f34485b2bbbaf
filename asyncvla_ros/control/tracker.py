"""Follows goals without ever exceeding velocity, acceleration, jerk or range of a dof, in true time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from asyncvla_ros.control.drive import GAP_PERIODS, Drive, quintic_s, stops_within
from asyncvla_ros.control.motion import (
    Bounds,
    Path,
    Phase,
    State,
    end_within,
    stop_phases,
)
from asyncvla_ros.control.planner import Hull, Planner
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import MotionLimits, following_limit, motion_limits, stop_limits

Move = tuple[Path | None, State]
# Asked for the whole motion of all dofs, with the stop at its end.
Permits = Callable[[Sequence[Path | None]], bool]
# How far ahead a goal is met [periods]: meeting it at once would take full jerk in every period.
HORIZON = 4
# Where a motion is not permitted, these shares of its speed are tried; later it grows again by this factor.
SLOWER, FASTER, SLOWEST = (0.8, 0.4), 1.05, 0.01
# A driver that follows trajectories gets so much more time than it needs to the first one's beginning.
ARRIVAL_SHARE = 1.1


class JerkLimitedTracker:
    """The commanded motion of the dofs that have a velocity limit: a function of true time.

    ::

        TRAJECTORY   ──────●────╮           before ● what was sent already; from there towards the goal for
                        branch   ╰──        two periods, then the quickest stop, should nothing follow
        the others   ──●────────●           towards the goal since the command before, sampled now; after a
                    before     now          gap from where the driver stands (HELD, STEP) or goes (RATE)

    The invariant is *the quickest stop from the present state stays within every limit*. It holds at rest; a
    planned state is taken only if it holds there too; and the stop itself keeps it. So whatever the goals
    and the gaps between two calls are, the motion is a C² curve whose velocity, acceleration and jerk keep
    their limits, and divided differences of its samples are weighted means of those derivatives.

    A dof that is a change per step is followed as a velocity; its position is where the change would lead.
    Where acceleration or jerk has no limit, what the velocity limit can use within two periods is taken.

    Args:
        dofs: Those with a velocity limit, in order.
        kinds: What the driver of each does between commands.
        period_ns: Time between two commands [ns]; true times may differ from it as they like.
        lead_ns: How long after it is sent a trajectory may differ from the one before [ns].
    """

    def __init__(self, dofs: Sequence[Dof], kinds: Sequence[Drive], period_ns: int, lead_ns: int):
        self._dofs = tuple(dofs)
        self._kinds = tuple(kinds)
        self._period_ns = period_ns
        self._lead_ns = lead_ns
        self._bounds = [_bounds(dof, motion_limits(dof, period_ns / 1e9)) for dof in dofs]
        self._stop_bounds = [_bounds(dof, stop_limits(dof, period_ns / 1e9)) for dof in dofs]
        self._margins = [(0.0, 0.0) for _ in dofs]
        self._states = [State(0.0, 0.0, 0.0) for _ in dofs]
        self.paths: list[Path | None] = [None for _ in dofs]
        self._at_ns = 0
        self._was_acknowledged = False
        self._before = self._motion
        self._is_asked = self._has_begun = self._is_held = False
        #: Whether commands reach a driver; the first one that does moves nothing.
        self.is_acknowledged = True
        self.limit_stops = 0
        self._share = 1.0
        ahead_s = HORIZON * period_ns / 1e9
        self._plans = [
            Planner(bounds, dof.is_delta, ahead_s) for dof, bounds in zip(dofs, self._bounds, strict=True)
        ]

    def begin(
        self, positions: Sequence[float], at_ns: int, slowest_s: float = 0.0, ways: Sequence[float] = ()
    ) -> str:
        """Starts at rest at the measured positions (k,); why that is impossible, or an empty text.

        Drivers of trajectories get ``slowest_s`` [s] at least to get there, or time for ``ways`` (k,) [unit].

        A target begins outside its limits if even the first jerk-limited step would not lead back inside:
        the arm would have to jump, or to be commanded outside. Both are refused. A gripper, which holds its
        command, begins at the nearest position inside, or at its first goal where it is not measured (NaN).
        """
        outside, states = [], []
        for dof, bounds, position in zip(self._dofs, self._bounds, positions, strict=True):
            if dof.is_delta or (dof.holds_command and math.isnan(position)):
                states.append(State(position, 0.0, 0.0))
                continue
            inside = min(max(position, bounds.minimum), bounds.maximum)
            step = bounds.jerk * (self._period_ns / 1e9) ** 3 / 6
            if not (dof.holds_command or abs(position - inside) <= step):
                limits = f"[{bounds.minimum:g}, {bounds.maximum:g}]"
                outside.append(f"{dof.name} is measured at {position:.6g} {dof.unit}, outside {limits}")
            states.append(State(inside, 0.0, 0.0))
        if not outside:
            arms = [index for index, dof in enumerate(self._dofs) if not dof.holds_command]
            arm_ns = self._arrival_ns(arms, states, at_ns, slowest_s, ways)
            self.paths = [
                Path(self._arrival_ns([i], states, at_ns) if dof.holds_command else arm_ns, state, ())
                if kind is Drive.TRAJECTORY and not math.isnan(state.position)
                else None
                for i, (dof, kind, state) in enumerate(zip(self._dofs, self._kinds, states, strict=True))
            ]
            self._states, self._at_ns, self._was_acknowledged = states, at_ns, False
            self._has_begun = self._is_held = True
        return "; ".join(outside)

    def _arrival_ns(
        self,
        indices: Sequence[int],
        states: Sequence[State],
        at_ns: int,
        slowest_s: float = 0.0,
        ways: Sequence[float] = (),
    ) -> int:
        """When drivers of trajectories are where these dofs begin [ns].

        They may be where they were told to be last, where the arm was since they came (``ways``, how far
        from there it is), and from either as far away as an arm may be from its command. Who begins where it
        was left is there, or on its way there.
        """
        if self._is_held and all(self._states[i].position == states[i].position for i in indices):
            paths = [path for path in (self.paths[i] for i in indices) if path is not None]
            return max([at_ns, *(path.start_ns for path in paths)])
        times_s = [slowest_s]
        for index in indices:
            dof = self._dofs[index]
            if dof.is_delta:
                continue
            told = abs(states[index].position - self._states[index].position) if self._has_begun else 0.0
            seen = ways[index] if ways else 0.0
            way = max(0.0 if math.isnan(told) else told, seen + following_limit(dof))
            times_s.append(quintic_s(way, self._bounds[index]))
        return at_ns + round(1e9 * ARRIVAL_SHARE * max(times_s))

    def leave(self) -> None:
        """Drivers are not where they were left: whatever begins next, they get time to come there."""
        self._is_held = False

    def set_measured(self, low: Sequence[float], high: Sequence[float]) -> None:
        """Notes where changes have led to, at least and at most (k,): how far they may still go."""
        self._margins = [
            (0.0, most - least) if dof.is_delta else (0.0, 0.0)
            for dof, least, most in zip(self._dofs, low, high, strict=True)
        ]
        self._states = [
            state._replace(position=least) if dof.is_delta else state
            for dof, state, least in zip(self._dofs, self._states, low, strict=True)
        ]

    def follow(
        self,
        goals: Sequence[State],
        at_ns: int,
        permits: Permits | None = None,
        hulls: Sequence[Hull | None] = (),
    ) -> None:
        """One command towards goals, or a piece of the stop where they must not be followed.

        Args:
            goals: (k,) where to be ``goal_ahead_ns`` later, or as soon as possible; of dofs that are changes
                only the velocity counts.
            at_ns: Now [ns, steady].
            permits: Asked for the whole motion with the stop at its end; None: everything is permitted.
            hulls: (k,) what the ways to the goals keep to, see ``Planner.phases``; empty: to nothing.
        """
        hulls = hulls or [None] * len(goals)
        self._is_asked = permits is not None
        # Slower where it is not permitted otherwise, and faster again little by little.
        shares = (
            [1.0] if permits is None else [min(1.0, FASTER * self._share), *(self._share * s for s in SLOWER)]
        )
        for share in shares:
            moves = [
                self._towards(index, goal, at_ns, share, hull)
                for index, (goal, hull) in enumerate(zip(goals, hulls, strict=True))
            ]
            if permits is None or permits([path for path, _ in moves]):
                self._share = share
                break
        else:
            self.limit_stops += 1
            self._share *= SLOWER[-1]
            moves = self._stopping(at_ns, permits)
        self._share = max(self._share, SLOWEST)
        self._take(moves, at_ns)

    def stop(self, at_ns: int, emergency: bool = False, permits: Permits | None = None) -> None:
        """One command of the quickest stop; at rest it stays where it is.

        Args:
            at_ns: Now [ns, steady].
            emergency: Within the limits of an emergency stop; nothing else counts then.
            permits: As in ``follow``.
        """
        moves = self._all_braking(at_ns, self._stop_bounds) if emergency else self._stopping(at_ns, permits)
        self._take(moves, at_ns)

    def _stopping(self, at_ns: int, permits: Permits | None) -> list[Move]:
        """The quickest stop; or the one that the motion has at its end, where only that is permitted.

        Dofs stop one after the other: what they make together may be faster meanwhile than it was.
        """
        moves = self._all_braking(at_ns, self._bounds)
        if permits is None or permits([path for path, _ in moves]):
            return moves
        going_on = [self._going_on(index, at_ns) for index in range(len(self._dofs))]
        return going_on if permits([path for path, _ in going_on]) else moves

    def _all_braking(self, at_ns: int, bounds: Sequence[Bounds]) -> list[Move]:
        return [self._braking(index, at_ns, bounds[index]) for index in range(len(self._dofs))]

    def _going_on(self, index: int, at_ns: int) -> Move:
        """The motion as it was sent, with the stop at its end."""
        path, state = self.paths[index], self._states[index]
        if path is None or math.isnan(state.position):
            return None, state
        rest = Path(at_ns, path.at(at_ns), path.between(at_ns, path.end_ns))
        return rest, rest.at(at_ns)

    def goal_ahead_ns(self, kind: Drive, at_ns: int) -> int:
        """How long after now the goals of dofs of this kind are to be met [ns]."""
        begin_ns = at_ns + self._lead_ns if kind is Drive.TRAJECTORY else self._begin_ns(kind, at_ns)
        return begin_ns + HORIZON * self._period_ns - at_ns

    def _begin_ns(self, kind: Drive, at_ns: int) -> int:
        """From when on the motion of a dof that is sampled can still be chosen [ns]."""
        since_ns = at_ns - self._at_ns
        if not self._was_acknowledged and kind is Drive.HELD:
            # The first command that is heard is where the arm is.
            return at_ns
        if not self._was_acknowledged or not 0 <= since_ns <= GAP_PERIODS * self._period_ns:
            return at_ns - self._period_ns
        # A change per step is made in one step, however late it is.
        return at_ns - (min(since_ns, self._period_ns) if kind is Drive.STEP else since_ns)

    def _begin(self, index: int, at_ns: int) -> tuple[int, State]:
        """Time [ns] and state from which the motion of a dof goes on."""
        kind, path, state = self._kinds[index], self.paths[index], self._states[index]
        if kind is Drive.TRAJECTORY:
            branch_ns = at_ns + self._lead_ns
            return branch_ns, state if path is None else path.at(branch_ns)
        if not 0 <= at_ns - self._at_ns <= GAP_PERIODS * self._period_ns:
            velocity = state.velocity if kind is Drive.RATE else 0.0
            state = State(state.position, velocity, 0.0)
        return self._begin_ns(kind, at_ns), state

    def _towards(self, index: int, goal: State, at_ns: int, share: float, hull: Hull | None) -> Move:
        begin_ns, state = self._begin(index, at_ns)
        bounds, plan = self._bounds[index], self._plans[index]
        if math.isnan(state.position):
            return self._first_goal(index, goal, at_ns)
        is_trajectory = self._kinds[index] is Drive.TRAJECTORY
        duration_s = (GAP_PERIODS * self._period_ns if is_trajectory else at_ns - begin_ns) / 1e9
        ways = plan.phases(state, plan.feasible(goal), duration_s, share, hull)
        # A dof that is a change may have been displaced from outside: never farther out than it is.
        low, high = self._margins[index]
        low, high = bounds.minimum + low, bounds.maximum - high
        bounds = bounds._replace(minimum=min(low, state.position), maximum=max(high, state.position))
        after = end_within(state, ways, bounds) if ways else None
        if after is None or not stops_within(self._kinds[index], state, after, bounds, self._period_ns):
            self.limit_stops += 1
            return self._braking(index, at_ns, self._bounds[index])
        if not (is_trajectory or self._is_asked):
            return None, after
        ways += stop_phases(after.velocity, after.acceleration, bounds.acceleration, bounds.jerk)
        return self._joined(index, begin_ns, state, ways, at_ns)

    def _braking(self, index: int, at_ns: int, bounds: Bounds) -> Move:
        begin_ns, state = self._begin(index, at_ns)
        if math.isnan(state.position):
            return None, state
        ways = stop_phases(state.velocity, state.acceleration, bounds.acceleration, bounds.jerk)
        return self._joined(index, begin_ns, state, ways, at_ns)

    def _joined(
        self, index: int, begin_ns: int, state: State, ways: list[Phase], at_ns: int
    ) -> tuple[Path, State]:
        """The new motion, after what a trajectory does until its branch; and the state now."""
        path = self.paths[index]
        if self._kinds[index] is not Drive.TRAJECTORY or path is None:
            new = Path(begin_ns, state, ways)
        elif path.start_ns > at_ns:
            # Its driver is still on its way to where it begins.
            new = path
        else:
            new = Path(at_ns, path.at(at_ns), [*path.between(at_ns, begin_ns), *ways])
            if new.is_standing:
                new = Path(at_ns, new.end, ())
        return new, new.at(at_ns)

    def _first_goal(self, index: int, goal: State, at_ns: int) -> Move:
        """A gripper that nobody measures is led to its first goal by its driver, with time for the way."""
        bounds = self._bounds[index]
        state = State(min(max(goal.position, bounds.minimum), bounds.maximum), 0.0, 0.0)
        if self._kinds[index] is not Drive.TRAJECTORY:
            return None, state
        # It may stand outside of its range, and at the other end.
        way = bounds.maximum - bounds.minimum + following_limit(self._dofs[index])
        return Path(at_ns + round(1e9 * ARRIVAL_SHARE * quintic_s(way, bounds)), state, ()), state

    @property
    def _motion(self) -> tuple[list[Path | None], list[State], int, bool]:
        return self.paths, self._states, self._at_ns, self._was_acknowledged

    def take_back(self) -> None:
        """The last command was not sent: the driver goes on with the one before it."""
        self.paths, self._states, self._at_ns, self._was_acknowledged = self._before

    def _take(self, moves: Sequence[Move], at_ns: int) -> None:
        self._before = self._motion
        self._was_acknowledged = self.is_acknowledged
        self.paths = [path for path, _ in moves]
        self._states = [state for _, state in moves]
        self._at_ns = at_ns

    @property
    def commands(self) -> list[float]:
        """(k,) positions of targets [unit], changes per period of the others [unit]."""
        period_s = self._period_ns / 1e9
        return [
            state.velocity * period_s if dof.is_delta else state.position
            for dof, state in zip(self._dofs, self._states, strict=True)
        ]

    @property
    def planner_errors(self) -> int:
        """How often ruckig raised an error, and a piece of the stop was taken instead."""
        return sum(planner.errors for planner in self._plans)

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
        """Whether nothing moves any more, the rest of a trajectory included."""
        return all(
            state.velocity == state.acceleration == 0 and (path is None or path.is_standing)
            if kind is Drive.TRAJECTORY
            else state.velocity == state.acceleration == 0
            for kind, state, path in zip(self._kinds, self._states, self.paths, strict=True)
        )


def _bounds(dof: Dof, limits: MotionLimits) -> Bounds:
    low, high = dof.minimum, dof.maximum
    if dof.is_delta:
        space = dof.workspace
        low, high = (-math.inf, math.inf) if space is None else (space.minimum, space.maximum)
    return Bounds(low, high, limits.min_velocity, limits.max_velocity, limits.acceleration, limits.jerk)


def tracked(dofs: Sequence[Dof]) -> np.ndarray:
    """(k,) int64, which dofs have a velocity limit and are thus followed by a ``JerkLimitedTracker``."""
    return np.array([i for i, dof in enumerate(dofs) if dof.velocity is not None], np.int64)
