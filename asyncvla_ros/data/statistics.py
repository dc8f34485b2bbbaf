"""Statistics of states and actions in one pass, pooled over the datasets of a robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncvla_ros.common.normalization import MIN_STD, NormStats

QUANTILES = (0.01, 0.99)


@dataclass(frozen=True)
class Moments:
    """Moments of ``count`` vectors: mean and sum of squared deviations from it, each (n,) float64."""

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(values: np.ndarray) -> Moments:
        """Compute the moments of (count, n) values, at least one."""
        exact = values.astype(np.float64)
        mean = exact.mean(axis=0)
        return Moments(len(values), mean, np.square(exact - mean).sum(axis=0))

    def merged(self, other: Moments) -> Moments:
        """Merge two sets of moments (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * (other.count / count),
            self.squares + other.squares + np.square(apart) * (self.count * other.count / count),
        )


@dataclass(frozen=True)
class Summary:
    """Statistics of a vector feature: moments, and the 1 % and 99 % quantiles, each (n,) float64."""

    moments: Moments
    q01: np.ndarray
    q99: np.ndarray

    def norm_stats(self, floor: float = MIN_STD) -> NormStats:
        """Return the statistics for scaling; ``floor`` as in ``NormStats``."""
        std = np.sqrt(self.moments.squares / self.moments.count)
        mean, std, q01, q99 = (
            array.astype(np.float32) for array in (self.moments.mean, std, self.q01, self.q99)
        )
        return NormStats("mean_std", mean, std, q01, q99=q99, floor=floor)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        moments = {"mean": self.moments.mean.tolist(), "squares": self.moments.squares.tolist()}
        return {"count": self.moments.count, **moments, "q01": self.q01.tolist(), "q99": self.q99.tolist()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Summary:
        """Return the inverse of ``to_dict``."""
        mean, squares, q01, q99 = (np.array(values[key]) for key in ("mean", "squares", "q01", "q99"))
        return Summary(Moments(int(values["count"]), mean, squares), q01, q99)


def summarize(moments: Moments, arrays: Sequence[np.ndarray]) -> Summary:
    """Add the quantiles of arrays (n_i, n), one dim in memory at a time."""
    dims = range(arrays[0].shape[1])
    columns = (np.concatenate([array[:, dim] for array in arrays]) for dim in dims)
    quantiles = np.array([np.quantile(column, QUANTILES) for column in columns], np.float64)
    return Summary(moments, quantiles[:, 0], quantiles[:, 1])


def pooled(summaries: Sequence[Summary], arrays: Sequence[np.ndarray]) -> Summary:
    """Pool the summaries of several arrays (n_i, n)."""
    if len(summaries) == 1:
        return summaries[0]
    moments = summaries[0].moments
    for summary in summaries[1:]:
        moments = moments.merged(summary.moments)
    return summarize(moments, arrays)
