"""Compares samples of a demand with the limits of an output."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.bench.safety_limits import STAMP_S, Limits
from asyncvla_ros.bench.safety_samples import Samples

DERIVATIVES = ("velocity", "acceleration", "jerk")
# How far columns of a rotation matrix may be from unit length and a right angle.
ORTHONORMAL = 1e-6
# What this file's own arithmetic may be off, as a share of a limit.
OWN_ROUNDING = 1e-12


class LimitJudge:
    """Counts what is beyond a limit by more than it can be off.

    Args:
        limits: Limits of the output.
        violations: Counts to increase, by kind.
        is_float32: Whether the values were rounded to float32.
        may_return: Whether a position outside its limits may come back gradually.
    """

    def __init__(self, limits: Limits, violations: dict[str, int], *, is_float32: bool, may_return: bool):
        self.peaks = dict.fromkeys(DERIVATIVES, 0.0)
        self.jump_max = 0.0
        self._limits = limits
        self._value_off, self._difference_off = limits.uncertainty(is_float32=is_float32)
        self._may_return = may_return
        self._violations = violations

    def judge(self, samples: Samples, stops: np.ndarray) -> None:
        """Judge every new sample, as the last one of a difference.

        Args:
            samples: Of values that are finite.
            stops: (s, 2) begins and ends of emergency stops [ns], in order.
        """
        self._judge_positions(samples)
        for order, (value, off) in enumerate(samples.derivatives()):
            chosen = samples.successive(order)
            stopping = _touches(samples.times_ns, order, stops)[chosen]
            for columns, kind in ((~self._limits.is_rate, order - 1), (self._limits.is_rate, order)):
                if 0 <= kind < len(DERIVATIVES):
                    used = columns & np.isfinite(self._limits.derivatives[kind])
                    self._judge_derivative(kind, used, value[chosen], off[chosen], stopping=stopping)
        if len(self._limits.columns):
            self._judge_rotations(samples)

    def _judge_positions(self, samples: Samples) -> None:
        chosen = samples.successive(1)
        before, now = samples.values[:-1][chosen], samples.values[1:][chosen]
        low, high = self._limits.minimum, self._limits.maximum
        if self._may_return:
            low, high = np.minimum(low, before), np.maximum(high, before)
        inside = (low - self._value_off <= now) & (now <= high + self._value_off)
        self._violations["position"] += int((~inside).sum())

    def _judge_derivative(
        self, kind: int, columns: np.ndarray, value: np.ndarray, off: np.ndarray, stopping: np.ndarray
    ) -> None:
        """Judge derivatives (w, n), off by (w,) per unit, some of an emergency stop (w,)."""
        if not columns.any() or not len(value):
            return
        limits, stops = self._limits.derivatives[kind, columns], self._limits.stops[kind, columns]
        limit = np.where(stopping[:, None], stops, limits)
        used = np.abs(value[:, columns])
        excess = used - limit - OWN_ROUNDING * limit - off[:, None] * self._difference_off[columns]
        # Not "beyond": what is no number is a violation too.
        self._violations[DERIVATIVES[kind]] += int((~(excess <= 0)).sum())
        self._note_peak(kind, float(np.max(excess / limit)) + 1)
        if kind == 0:
            # A first difference is off by 2 / dt per unit; of a rate, which has none, by 1.
            jump = np.where(self._limits.is_rate[columns], 0.0, excess * (2 / off)[:, None])
            self.jump_max = max(self.jump_max, float(np.max(jump)))

    def _note_peak(self, kind: int, share: float) -> None:
        """Note the largest share of a limit that was used for certain."""
        self.peaks[DERIVATIVES[kind]] = max(self.peaks[DERIVATIVES[kind]], share)

    def _judge_rotations(self, samples: Samples) -> None:
        """Judge whether they are rotations, and the rate of the angle between two of them.

        The angle of A to B is 2 asin(‖A - B‖ / √8), Frobenius: entries that are off by e make it off by less
        than 6 e.
        """
        columns = samples.values[:, self._limits.columns]
        first, second = columns[:, :3], columns[:, 3:]
        products = [(first * first).sum(1) - 1, (second * second).sum(1) - 1, (first * second).sum(1)]
        wrong = ~(np.abs(products) <= ORTHONORMAL).all(axis=0)
        self._violations["position"] += int((wrong & samples.is_new).sum())
        matrices = np.concatenate([columns, np.cross(first, second)], axis=1)
        chord = np.linalg.norm(np.diff(matrices, axis=0), axis=1)
        angle = 2 * np.arcsin(np.minimum(1.0, chord / np.sqrt(8)))
        limit = self._limits.turn
        if not np.isfinite(limit):
            return
        span_s = np.diff(samples.times_ns) / 1e9
        off = 6 * float(np.max(self._value_off[self._limits.columns])) + 2 * limit * STAMP_S
        chosen = samples.successive(1)
        excess = (angle - limit * span_s - off)[chosen]
        self._violations["velocity"] += int((~(excess <= 0)).sum())
        self._note_peak(0, float(np.max(excess / span_s[chosen])) / limit + 1)
        self.jump_max = max(self.jump_max, float(np.max(excess)))


def _touches(times_ns: np.ndarray, order: int, stops: np.ndarray) -> np.ndarray:
    """Return whether samples and the ``order`` before them meet one of the stops, (m - order,) bool."""
    first, last = times_ns[: len(times_ns) - order], times_ns[order:]
    if not len(stops):
        return np.zeros(len(last), bool)
    index = np.searchsorted(stops[:, 0], last, side="right") - 1
    return (index >= 0) & (stops[index, 1] >= first)
