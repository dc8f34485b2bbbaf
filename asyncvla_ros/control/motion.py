"""Jerk-limited motion of one dof in closed form: pieces of constant jerk, and the quickest stop.

Units are those of the dof: position [unit], velocity [unit/s], acceleration [unit/s²], jerk [unit/s³].
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

Phase = tuple[float, float]
"""Duration [s] and the constant jerk meanwhile [unit/s³]."""


class MotionState(NamedTuple):
    """Position, velocity and acceleration of one dof."""

    position: float
    velocity: float
    acceleration: float


class Bounds(NamedTuple):
    """Limits of a dof's motion, ends included; acceleration and jerk are symmetric."""

    minimum: float
    maximum: float
    min_velocity: float
    max_velocity: float
    acceleration: float
    jerk: float


def move(state: MotionState, phase: Phase) -> MotionState:
    """Return the state after one phase."""
    t, jerk = phase
    position, velocity, acceleration = state
    return MotionState(
        position + t * (velocity + t * (acceleration / 2 + t * jerk / 6)),
        velocity + t * (acceleration + t * jerk / 2),
        acceleration + t * jerk,
    )


def cut(phases: Sequence[Phase], duration_s: float) -> list[Phase]:
    """Return the first ``duration_s`` of a motion; a shorter one is extended without jerk."""
    kept: list[Phase] = []
    left = duration_s
    for duration, jerk in phases:
        if duration >= left:
            return [*kept, (left, jerk)]
        if duration > 0:
            kept.append((duration, jerk))
            left -= duration
    return [*kept, (left, 0.0)]


def stop_phases(velocity: float, acceleration: float, max_acceleration: float, jerk: float) -> list[Phase]:
    """Compute the quickest way to velocity and acceleration 0.

    ::

        acceleration   0 ╲            ╱ 0      towards -peak, along it, back to 0;
                          ╲__________╱         mirrored where the dof moves backwards

    Args:
        velocity: [unit/s].
        acceleration: [unit/s²], within ``max_acceleration``.
        max_acceleration: [unit/s²].
        jerk: [unit/s³].
    """
    # Velocity after the acceleration is brought to 0; its sign says which way to brake.
    sign = -1.0 if velocity + acceleration * abs(acceleration) / (2 * jerk) < 0 else 1.0
    v, a = sign * velocity, sign * acceleration
    peak = math.sqrt(max(0.0, jerk * v + a * a / 2))
    cruise = 0.0
    if peak > max_acceleration:
        peak = max_acceleration
        cruise = max(0.0, (v + a * a / (2 * jerk)) / peak - peak / jerk)
    return [(max(0.0, (a + peak) / jerk), -sign * jerk), (cruise, 0.0), (peak / jerk, sign * jerk)]


class Path:
    """The motion of one dof from a start time to rest.

    Args:
        start_ns: Start time [ns].
        start: State at the start.
        phases: Successive pieces of constant jerk, which end at rest but for rounding.
    """

    __slots__ = ("_begins_s", "_states", "end", "end_ns", "phases", "start_ns")

    def __init__(self, start_ns: int, start: MotionState, phases: Sequence[Phase]):
        self.start_ns = start_ns
        self.phases = [phase for phase in phases if phase[0] > 0]
        self._begins_s, self._states = [0.0], [start]
        for phase in self.phases:
            self._begins_s.append(self._begins_s[-1] + phase[0])
            self._states.append(move(self._states[-1], phase))
        # A rounding error of the velocity must not become drift.
        self.end = MotionState(self._states[-1].position, 0.0, 0.0)
        self.end_ns = start_ns + math.ceil(self._begins_s[-1] * 1e9)

    def at(self, time_ns: int) -> MotionState:
        """Return the state at ``time_ns`` [ns]: the start before the path, at rest after it."""
        if time_ns >= self.end_ns:
            return self.end
        since_s = max(0.0, (time_ns - self.start_ns) / 1e9)
        index = bisect_right(self._begins_s, since_s) - 1
        if index >= len(self.phases):
            return self.end
        return move(self._states[index], (since_s - self._begins_s[index], self.phases[index][1]))

    def states(self, times_ns: np.ndarray) -> np.ndarray:
        """Return (m, 3) positions, velocities and accelerations at (m,) times [ns], as ``at`` gives them."""
        since = np.clip((times_ns - self.start_ns) / 1e9, 0.0, None)
        index = np.searchsorted(self._begins_s, since, side="right") - 1
        index[times_ns >= self.end_ns] = len(self.phases)
        t = since - np.array(self._begins_s)[index]
        position, velocity, acceleration = np.array([*self._states[:-1], self.end])[index].T
        jerk = np.array([*(jerk for _, jerk in self.phases), 0.0])[index]
        return np.stack(
            [
                position + t * (velocity + t * (acceleration / 2 + t * jerk / 6)),
                velocity + t * (acceleration + t * jerk / 2),
                acceleration + t * jerk,
            ],
            axis=1,
        )

    def between(self, begin_ns: int, end_ns: int) -> list[Phase]:
        """Return the phases from ``begin_ns`` to ``end_ns`` [ns]; at rest after the end of the path."""
        begin_s, end_s = (begin_ns - self.start_ns) / 1e9, (end_ns - self.start_ns) / 1e9
        taken: list[Phase] = []
        at_s = begin_s
        for phase_begin_s, (duration_s, jerk) in zip(self._begins_s, self.phases, strict=False):
            until_s = min(end_s, phase_begin_s + duration_s)
            if until_s > at_s:
                taken.append((until_s - at_s, jerk))
                at_s = until_s
        if end_s > at_s:
            taken.append((end_s - at_s, 0.0))
        return taken

    @property
    def is_standing(self) -> bool:
        """Whether the path stands still throughout."""
        return self._states[0][1:] == (0.0, 0.0) and not any(jerk for _, jerk in self.phases)

    @property
    def knots_ns(self) -> list[int]:
        """Times at which the jerk changes, start and end included [ns]."""
        return [self.start_ns + round(begin_s * 1e9) for begin_s in self._begins_s]


def stop(state: MotionState, bounds: Bounds, duration_s: float) -> MotionState:
    """Return the state after ``duration_s`` [s] of the quickest stop; exactly at rest after its end."""
    phases = stop_phases(state.velocity, state.acceleration, bounds.acceleration, bounds.jerk)
    return Path(0, state, phases).at(round(duration_s * 1e9))


def rest_position(state: MotionState, bounds: Bounds) -> float:
    """Return the position at which the quickest stop ends."""
    for phase in stop_phases(state.velocity, state.acceleration, bounds.acceleration, bounds.jerk):
        state = move(state, phase)
    return state.position


def can_stop(state: MotionState, bounds: Bounds) -> bool:
    """Return whether the quickest stop from a state stays within every bound: then the state is safe."""
    v, a = state.velocity, state.acceleration
    if not abs(a) <= bounds.acceleration:
        return False
    # The velocity is largest where the acceleration is brought to 0.
    ease = v + a * abs(a) / (2 * bounds.jerk)
    if min(v, ease) < bounds.min_velocity or max(v, ease) > bounds.max_velocity:
        return False
    # Far from both ends, the common case, no exact extremes are needed: the quickest stop is no longer than
    # to bring the acceleration to 0 first, and to brake from there.
    brake_s = abs(ease) / bounds.acceleration + 2 * bounds.acceleration / bounds.jerk
    reach = max(abs(v), abs(ease)) * (abs(a) / bounds.jerk + brake_s)
    if bounds.minimum + reach <= state.position <= bounds.maximum - reach:
        return True
    phases = stop_phases(v, a, bounds.acceleration, bounds.jerk)
    return all(bounds.minimum <= p <= bounds.maximum for p in _extremes(state, phases))


def _extremes(state: MotionState, phases: Sequence[Phase]) -> Iterator[float]:
    """Yield the positions at phase ends and turning points; the motion stays between them."""
    yield state.position
    for duration, jerk in phases:
        for t in _roots(jerk / 2, state.acceleration, state.velocity):
            if 0 < t < duration:
                yield move(state, (t, jerk)).position
        state = move(state, (duration, jerk))
        yield state.position


def _roots(a: float, b: float, c: float) -> tuple[float, ...]:
    """Return the real roots of a·t² + b·t + c."""
    if a == 0:
        return () if b == 0 else (-c / b,)
    discriminant = b * b - 4 * a * c
    if discriminant < 0:
        return ()
    # For each root, use the textbook formula without cancellation.
    q = -(b + math.copysign(math.sqrt(discriminant), b)) / 2
    return (q / a, c / q) if q else (0.0,)


def end_within(state: MotionState, phases: Sequence[Phase], bounds: Bounds) -> MotionState | None:
    """Return the state at the end of a motion; None if velocity, acceleration or jerk leave their bounds."""
    for duration, jerk in phases:
        after = move(state, (duration, jerk))
        low, high = sorted((state.velocity, after.velocity))
        if jerk and 0 < -state.acceleration / jerk < duration:
            turn = move(state, (-state.acceleration / jerk, jerk)).velocity
            low, high = min(low, turn), max(high, turn)
        if (
            abs(jerk) > bounds.jerk
            or abs(state.acceleration) > bounds.acceleration
            or abs(after.acceleration) > bounds.acceleration
            or low < bounds.min_velocity
            or high > bounds.max_velocity
        ):
            return None
        state = after
    return state
