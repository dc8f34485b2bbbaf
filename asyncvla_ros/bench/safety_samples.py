"""Samples of one demand, with what stood before them, and their divided differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# A third difference needs so many samples before its own.
CONTEXT = 3


@dataclass(frozen=True)
class Samples:
    """Rows of one or several stretches, in order of time.

    Attributes:
        times_ns: (m,) int64, strictly ascending within a stretch.
        values: (m, n) float64.
        stretch: (m,) int64, number of the stretch: differences are taken within one.
        is_new: (m,) bool, whether a row is to be judged; the others are what stood before it.
    """

    times_ns: np.ndarray
    values: np.ndarray
    stretch: np.ndarray
    is_new: np.ndarray

    @classmethod
    def none(cls, n: int) -> Samples:
        """Make samples of (n,) values without a row."""
        return cls(np.empty(0, np.int64), np.empty((0, n)), np.empty(0, np.int64), np.empty(0, bool))

    def then(self, other: Samples) -> Samples:
        """Append ``other``."""
        return Samples(
            np.concatenate([self.times_ns, other.times_ns]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.stretch, other.stretch]),
            np.concatenate([self.is_new, other.is_new]),
        )

    def context(self) -> Samples:
        """Return the last rows, the context of those that follow."""
        last = slice(-CONTEXT, None)
        return Samples(
            self.times_ns[last],
            self.values[last],
            self.stretch[last],
            np.zeros(len(self.times_ns[last]), bool),
        )

    def successive(self, order: int) -> np.ndarray:
        """Return whether a new row and the ``order`` rows before it are of one stretch, (m - order,) bool."""
        return self.is_new[order:] & (self.stretch[order:] == self.stretch[: len(self.stretch) - order])

    def derivatives(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Compute divided differences of order 0 to ``CONTEXT``, times the factorial of the order.

            f[t_0 ... t_k] = (f[t_1 ... t_k] - f[t_0 ... t_k-1]) / (t_k - t_0)

        Of a function they are weighted means of its k-th derivative (Hermite-Genocchi): what keeps a limit
        has differences that keep it, whatever the times.

        Yields:
            (m - order, n) derivatives, and (m - order,) by how much they are off at most if each value is off
            by 1: k! Σ_i 1 / Π_j≠i |t_i - t_j|, which is 2^k / h^k for samples h apart.
        """
        difference, off = self.values, np.ones(len(self.values))
        yield difference, off
        factorial = 1
        for order in range(1, CONTEXT + 1):
            span_s = (self.times_ns[order:] - self.times_ns[: len(self.times_ns) - order]) / 1e9
            # Stretches may overlap in time; what spans two of them is not used.
            span_s = np.where(span_s > 0, span_s, np.nan)
            difference = np.diff(difference, axis=0) / span_s[:, None]
            off = (off[1:] + off[:-1]) / span_s
            factorial *= order
            yield factorial * difference, factorial * off


def with_standing(
    times_ns: np.ndarray,
    values: np.ndarray,
    begins: np.ndarray,
    standing: np.ndarray,
    step_ns: int,
    stretch: int,
) -> Samples:
    """Put samples of standing still before those that begin a stretch.

        standing ● ● ● ○ ○ ○ ...     one step apart until one step before the first of the new ones

    Args:
        times_ns: (m,) int64.
        values: (m, n).
        begins: (m,) bool, which samples begin a stretch.
        standing: (m, n) where it stood before those.
        step_ns: [ns].
        stretch: Number of the present stretch; those that begin are numbered from the next one on.
    """
    counts = np.where(begins, CONTEXT + 1, 1)
    rows = np.cumsum(counts) - 1
    total = int(counts.sum())
    is_new = np.zeros(total, bool)
    is_new[rows] = True
    all_times, all_values = np.repeat(times_ns, counts), np.repeat(values, counts, axis=0)
    first = rows[begins]
    for back in range(1, CONTEXT + 1):
        all_times[first - back] -= back * step_ns
        all_values[first - back] = standing[begins]
    return Samples(all_times, all_values, np.repeat(stretch + np.cumsum(begins), counts), is_new)
