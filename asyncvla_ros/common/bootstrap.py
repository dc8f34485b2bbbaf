"""Confidence intervals of metrics over frames, which are correlated within an episode."""

from __future__ import annotations

import numpy as np

#: Fewer episodes give no interval.
FEWEST_EPISODES = 5
_RESAMPLES = 10_000


def ratio_ci95(sums: np.ndarray, counts: np.ndarray, episode: np.ndarray) -> list[float] | None:
    """Compute the 95 % interval of ``sums.sum() / counts.sum()`` by a seeded bootstrap over episodes.

    Args:
        sums: (n,) numerators.
        counts: (n,) denominators.
        episode: (n,) the episode of each.

    Returns:
        Lower and upper end; None with fewer than ``FEWEST_EPISODES``.
    """
    _, rows = np.unique(episode, return_inverse=True)
    total, count = (np.bincount(rows, weights=x) for x in (sums, counts))
    if len(total) < FEWEST_EPISODES:
        return None
    drawn = np.random.default_rng(0).integers(len(total), size=(_RESAMPLES, len(total)))
    with np.errstate(invalid="ignore"):  # a draw without any count
        means = total[drawn].sum(1) / count[drawn].sum(1)
    return list(map(float, np.nanquantile(means, (0.025, 0.975))))
