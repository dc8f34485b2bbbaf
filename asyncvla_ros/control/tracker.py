"""Follows goals without ever exceeding velocity, acceleration, jerk or range of a dof, in true time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from asyncvla_ros.control.dof_motion import ARRIVAL_SHARE, DofMotion, Move, Step
from asyncvla_ros.control.drive import Drive, quintic_s
from asyncvla_ros.control.motion import Path, State
from asyncvla_ros.control.planner import Hull
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import following_limit

# Asked for the whole motion of all dofs, with the stop at its end.
Permits = Callable[[Sequence[Path | None]], bool]
# Where a motion is not permitted, these shares of its speed are tried; later it grows again by this factor.
SLOWER, FASTER, SLOWEST = (0.8, 0.4), 1.05, 0.01


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
        self._motions = [DofMotion(dof, kind, period_ns) for dof, kind in zip(dofs, kinds, strict=True)]
        self._period_ns = period_ns
        self._lead_ns = lead_ns
        self._at_ns = 0
        self._was_acknowledged = False
        self._before = self._motion
        self._has_begun = self._is_held = False
        #: Whether commands reach a driver; the first one that does moves nothing.
        self.is_acknowledged = True
        self._forbidden = 0
        self._share = 1.0

    def begin(
        self, positions: Sequence[float], at_ns: int, slowest_s: float = 0.0, ways: Sequence[float] = ()
    ) -> str:
        """Starts at rest at the measured positions (k,); why that is impossible, or an empty text.

        Drivers of trajectories get ``slowest_s`` [s] at least to get there, or time for ``ways`` (k,) [unit].

        A target begins outside its limits if even the first jerk-limited step would not lead back inside:
        the arm would have to jump, or to be commanded outside. Both are refused. A gripper, which holds its
        command, begins at the nearest position inside, or at its first goal where it is not measured (NaN).
        """
        pairs = list(zip(self._motions, positions, strict=True))
        refusals = [refusal for motion, position in pairs if (refusal := motion.refusal(position))]
        if refusals:
            return "; ".join(refusals)
        states = [motion.rest_at(position) for motion, position in pairs]
        arms = [index for index, motion in enumerate(self._motions) if not motion.dof.holds_command]
        arm_ns = self._arrival_ns(arms, states, at_ns, slowest_s, ways)
        starts_ns = [
            self._arrival_ns([index], states, at_ns) if motion.dof.holds_command else arm_ns
            for index, motion in enumerate(self._motions)
        ]
        for motion, state, start_ns in zip(self._motions, states, starts_ns, strict=True):
            is_sent = motion.kind is Drive.TRAJECTORY and not math.isnan(state.position)
            motion.path, motion.state = Path(start_ns, state, ()) if is_sent else None, state
        self._at_ns, self._was_acknowledged = at_ns, False
        self._has_begun = self._is_held = True
        return ""

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
        motions = [self._motions[index] for index in indices]
        if self._is_held and all(
            motion.state.position == states[index].position
            for motion, index in zip(motions, indices, strict=True)
        ):
            paths = [motion.path for motion in motions if motion.path is not None]
            return max([at_ns, *(path.start_ns for path in paths)])
        times_s = [slowest_s]
        for index, motion in zip(indices, motions, strict=True):
            if motion.dof.is_delta:
                continue
            told = abs(states[index].position - motion.state.position) if self._has_begun else 0.0
            seen = ways[index] if ways else 0.0
            way = max(0.0 if math.isnan(told) else told, seen + following_limit(motion.dof))
            times_s.append(quintic_s(way, motion.bounds))
        return at_ns + round(1e9 * ARRIVAL_SHARE * max(times_s))

    def leave(self) -> None:
        """Drivers are not where they were left: whatever begins next, they get time to come there."""
        self._is_held = False

    def set_measured(self, low: Sequence[float], high: Sequence[float]) -> None:
        """Notes where changes have led to, at least and at most (k,): how far they may still go."""
        for motion, least, most in zip(self._motions, low, high, strict=True):
            motion.set_measured(least, most)

    def goal_ahead_ns(self, kind: Drive, at_ns: int) -> int:
        """How long after now the goals of dofs of this kind are to be met [ns]."""
        return self._step(at_ns).goal_ahead_ns(kind)

    def _step(self, at_ns: int) -> Step:
        since_ns = at_ns - self._at_ns
        return Step(at_ns, since_ns, self._was_acknowledged, self._period_ns, self._lead_ns)

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
        step, hulls = self._step(at_ns), hulls or [None] * len(goals)
        for share in self._shares(is_asked=permits is not None):
            moves = [
                motion.towards(goal, step, share, hull, is_asked=permits is not None)
                for motion, goal, hull in zip(self._motions, goals, hulls, strict=True)
            ]
            if permits is None or permits([path for path, _ in moves]):
                self._share = share
                break
        else:
            self._forbidden += 1
            self._share *= SLOWER[-1]
            moves = self._stopping(step, permits)
        self._share = max(self._share, SLOWEST)
        self._take(moves, at_ns)

    def _shares(self, *, is_asked: bool) -> list[float]:
        """Shares of the speed: slower where it is not permitted otherwise, faster again little by little."""
        if not is_asked:
            return [1.0]
        return [min(1.0, FASTER * self._share), *(self._share * share for share in SLOWER)]

    def stop(self, at_ns: int, *, emergency: bool = False, permits: Permits | None = None) -> None:
        """One command of the quickest stop; at rest it stays where it is.

        Args:
            at_ns: Now [ns, steady].
            emergency: Within the limits of an emergency stop; nothing else counts then.
            permits: As in ``follow``.
        """
        step = self._step(at_ns)
        if emergency:
            self._take([motion.braking(step, is_emergency=True) for motion in self._motions], at_ns)
        else:
            self._take(self._stopping(step, permits), at_ns)

    def _stopping(self, step: Step, permits: Permits | None) -> list[Move]:
        """The quickest stop; or the one that the motion has at its end, where only that is permitted.

        Dofs stop one after the other: what they make together may be faster meanwhile than it was.
        """
        moves = [motion.braking(step) for motion in self._motions]
        if permits is None or permits([path for path, _ in moves]):
            return moves
        going_on = [motion.going_on(step.at_ns) for motion in self._motions]
        return going_on if permits([path for path, _ in going_on]) else moves

    @property
    def _motion(self) -> tuple[list[Move], int, bool]:
        moves = [(motion.path, motion.state) for motion in self._motions]
        return moves, self._at_ns, self._was_acknowledged

    def take_back(self) -> None:
        """The last command was not sent: the driver goes on with the one before it."""
        moves, self._at_ns, self._was_acknowledged = self._before
        self._set(moves)

    def _take(self, moves: Sequence[Move], at_ns: int) -> None:
        self._before = self._motion
        self._at_ns, self._was_acknowledged = at_ns, self.is_acknowledged
        self._set(moves)

    def _set(self, moves: Sequence[Move]) -> None:
        for motion, (path, state) in zip(self._motions, moves, strict=True):
            motion.path, motion.state = path, state

    @property
    def paths(self) -> list[Path | None]:
        """(k,) motions as they were sent; None for those of which only samples are."""
        return [motion.path for motion in self._motions]

    @property
    def commands(self) -> list[float]:
        """(k,) positions of targets [unit], changes per period of the others [unit]."""
        return [motion.command for motion in self._motions]

    @property
    def limit_stops(self) -> int:
        """How often a dof had to brake, because its plan would have led to a limit, or was not permitted."""
        return self._forbidden + sum(motion.limit_stops for motion in self._motions)

    @property
    def planner_errors(self) -> int:
        """How often ruckig raised an error, and a piece of the stop was taken instead."""
        return sum(motion.planner_errors for motion in self._motions)

    @property
    def positions(self) -> list[float]:
        """(k,) commanded positions [unit]."""
        return [motion.state.position for motion in self._motions]

    @property
    def velocities(self) -> list[float]:
        """(k,) commanded velocities [unit/s]."""
        return [motion.state.velocity for motion in self._motions]

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves any more, the rest of a trajectory included."""
        return all(motion.at_rest for motion in self._motions)


def tracked(dofs: Sequence[Dof]) -> np.ndarray:
    """(k,) int64, which dofs have a velocity limit and are thus followed by a ``JerkLimitedTracker``."""
    return np.array([i for i, dof in enumerate(dofs) if dof.velocity is not None], np.int64)
