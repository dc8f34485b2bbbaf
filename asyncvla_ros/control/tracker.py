"""Following goals in true time within velocity, acceleration, jerk and range of each dof."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from asyncvla_ros.control.dof_motion import ARRIVAL_SHARE, DofMotion, Move, Step
from asyncvla_ros.control.drive import Drive, quintic_s
from asyncvla_ros.control.motion import MotionState, Path
from asyncvla_ros.control.planner import Hull
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import following_limit

# Whether the whole motion of all dofs, with the stop at its end, is permitted.
Permits = Callable[[Sequence[Path | None]], bool]
# Shares of the speed to try where a motion is not permitted, and the factor by which the share grows again.
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

    A delta dof is followed as a velocity; its position is where the delta would lead. A missing limit of
    acceleration or jerk is the most that the velocity limit can use within two periods.

    Args:
        dofs: Dofs with a velocity limit, in order.
        kinds: Motion of each driver between commands.
        command_period_ns: Nominal time between two commands [ns]; true times may differ without limit.
        lead_ns: Time after sending from which a trajectory may differ from the previous one [ns].
    """

    def __init__(self, dofs: Sequence[Dof], kinds: Sequence[Drive], command_period_ns: int, lead_ns: int):
        self._motions = [
            DofMotion(dof, kind, command_period_ns) for dof, kind in zip(dofs, kinds, strict=True)
        ]
        self._command_period_ns = command_period_ns
        self._lead_ns = lead_ns
        self._at_ns = 0
        self._was_acknowledged = False
        self._before = self._motion
        self._has_begun = self._is_held = False
        #: Whether commands reach a driver; the first command that does moves nothing.
        self.is_acknowledged = True
        self._forbidden = 0
        self._share = 1.0

    def begin(
        self, positions: Sequence[float], at_ns: int, slowest_s: float = 0.0, ways: Sequence[float] = ()
    ) -> str:
        """Start at rest at the measured positions (k,); return why that is impossible, or an empty text.

        Trajectory drivers get at least ``slowest_s`` [s] to get there, and time for ``ways`` (k,) [unit].

        A target outside its limits is refused if the first jerk-limited step would not lead back inside: the
        arm would have to jump, or be commanded outside. A gripper, which holds its command, starts at the
        nearest position inside, or at its first goal if it is not measured (NaN).
        """
        pairs = list(zip(self._motions, positions, strict=True))
        refusals = [refusal for motion, position in pairs if (refusal := motion.refusal(position))]
        if refusals:
            return "; ".join(refusals)
        states = [motion.rest_at(position) for motion, position in pairs]
        arms = [index for index, motion in enumerate(self._motions) if not motion.dof.holds_command]
        arm_ns = self._arrival_ns(arms, states, at_ns, slowest_s, ways=ways)
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
        states: Sequence[MotionState],
        at_ns: int,
        slowest_s: float = 0.0,
        ways: Sequence[float] = (),
    ) -> int:
        """Return when trajectory drivers reach the start of these dofs [ns].

        A driver may be at its last command, or where the arm was since it connected (``ways``: distance
        from there), and a following-error limit away from either. A driver that starts at the pose of the
        last hold is there, or on its way there.
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
        """Note that drivers are not at the last hold, so that they get time to reach the next start."""
        self._is_held = False

    def set_measured(self, low: Sequence[float], high: Sequence[float]) -> None:
        """Note the least and greatest positions (k,) of delta dofs, which bound their further motion."""
        for motion, least, most in zip(self._motions, low, high, strict=True):
            motion.set_measured(least, most)

    def goal_ahead_ns(self, kind: Drive, at_ns: int) -> int:
        """Return the time from now to the goals of dofs of this kind [ns]."""
        return self._step(at_ns).goal_ahead_ns(kind)

    def _step(self, at_ns: int) -> Step:
        since_ns = at_ns - self._at_ns
        return Step(at_ns, since_ns, self._was_acknowledged, self._command_period_ns, lead_ns=self._lead_ns)

    def follow(
        self,
        goals: Sequence[MotionState],
        at_ns: int,
        permits: Permits | None = None,
        hulls: Sequence[Hull | None] = (),
    ) -> None:
        """Compute one command towards goals, or a piece of the stop where goals are not permitted.

        Args:
            goals: (k,) states to reach ``goal_ahead_ns`` later, or as soon as possible; of delta dofs only
            the velocity counts.
            at_ns: Now [ns, steady].
            permits: Whether a whole motion with the stop at its end is permitted; None: always.
            hulls: (k,) positions the paths stay between, see ``Planner.phases``; empty: no such limit.
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
        """Return shares of the speed to try: slower while not permitted, then faster again by and by."""
        if not is_asked:
            return [1.0]
        return [min(1.0, FASTER * self._share), *(self._share * share for share in SLOWER)]

    def stop(self, at_ns: int, *, emergency: bool = False, permits: Permits | None = None) -> None:
        """Compute one command of the quickest stop; stay when at rest.

        Args:
            at_ns: Now [ns, steady].
            emergency: Whether to use the limits of an emergency stop, and no others.
            permits: As in ``follow``.
        """
        step = self._step(at_ns)
        if emergency:
            self._take([motion.braking(step, is_emergency=True) for motion in self._motions], at_ns)
        else:
            self._take(self._stopping(step, permits), at_ns)

    def _stopping(self, step: Step, permits: Permits | None) -> list[Move]:
        """Return the quickest stop, or the stop at the end of the sent motion where only that is permitted.

        Dofs come to rest at different times, so the tool may become faster meanwhile.
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
        """Take back the last command, which was not sent; the driver continues with the previous one."""
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
        """(k,) motions that were sent; None for dofs of which only samples are sent."""
        return [motion.path for motion in self._motions]

    @property
    def commands(self) -> list[float]:
        """(k,) positions of absolute dofs [unit], deltas per period of the others [unit]."""
        return [motion.command for motion in self._motions]

    @property
    def limit_stops(self) -> int:
        """Count of plans that would have led to a limit or were not permitted, so that the dof braked."""
        return self._forbidden + sum(motion.limit_stops for motion in self._motions)

    @property
    def planner_errors(self) -> int:
        """Count of errors of ruckig, each answered by a piece of the stop."""
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
        """Whether all dofs stand still, also along the rest of their trajectories."""
        return all(motion.at_rest for motion in self._motions)


def tracked(dofs: Sequence[Dof]) -> np.ndarray:
    """Return (k,) int64, the dofs that a ``JerkLimitedTracker`` follows: those with a velocity limit."""
    return np.array([i for i, dof in enumerate(dofs) if dof.velocity is not None], np.int64)
