"""Small statistics for success rates and latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_Z95 = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % Wilson score interval of a success probability.

    With p = successes / trials and z = 1.96::

        (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"expected 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    p = successes / trials
    z2n = _Z95**2 / trials
    half = _Z95 * math.sqrt(p * (1 - p) / trials + z2n / (4 * trials))
    low = (p + z2n / 2 - half) / (1 + z2n)
    high = (p + z2n / 2 + half) / (1 + z2n)
    return max(0.0, low), min(1.0, high)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """``p50`` and ``p95`` of some measurements, rounded to 0.01; zeros when there are none."""
    if not len(values):
        return {"p50": 0.0, "p95": 0.0}
    p50, p95 = np.percentile(np.asarray(values, dtype=np.float64), [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}
