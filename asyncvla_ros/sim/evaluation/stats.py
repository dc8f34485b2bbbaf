"""Small statistics for success rates and latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student_t

_Z95 = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Compute the 95 % Wilson score interval of a success probability.

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
    """Compute ``p50`` and ``p95`` of some measurements, rounded to 0.01; zeros when there are none."""
    if not len(values):
        return {"p50": 0.0, "p95": 0.0}
    p50, p95 = np.percentile(np.asarray(values, dtype=np.float64), [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Compute the exact two-sided p-value of McNemar's test: do two paired success rates differ?

    Only pairs with one success and one failure count; without a difference both ways are as likely.

    Raises:
        ValueError: the sequences are not equally long.
    """
    a, b = _pairs(first, second)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    differing = only_a + only_b
    return float(binomtest(only_a, differing).pvalue) if differing else 1.0


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> tuple[float, tuple[float, float]]:
    """Compute ``second`` minus ``first``, two paired success rates, with the difference's 95 % interval.

    The interval is that of Bonett and Price (2012), https://doi.org/10.3102/1076998611411915, which is honest
    where hardly any pair differs. With a and b of n pairs solved by the second and by the first alone,
    p = (a + 1) / (n + 2), q = (b + 1) / (n + 2) and z = 1.96::

        p - q ± z sqrt((p + q - (p - q)²) / (n + 2))

    Raises:
        ValueError: no pairs, or the sequences are not equally long.
    """
    one, other = _pairs(first, second)
    if not len(one):
        raise ValueError("expected at least one pair")
    n = len(one) + 2
    p, q = ((~one & other).sum() + 1) / n, ((one & ~other).sum() + 1) / n
    half = _Z95 * math.sqrt((p + q - (p - q) ** 2) / n)
    gain = float(other.mean() - one.mean())
    return gain, (max(-1.0, float(p - q) - half), min(1.0, float(p - q) + half))


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> tuple[float, tuple[float, float]] | None:
    """Compute the ratio of ``second`` to ``first``: geometric mean over pairs, and its 95 % interval.

    The interval is that of Student's t for the mean of the logarithms. Pairs with a value of 0 are left out.

    Returns:
        None for fewer than two pairs.

    Raises:
        ValueError: the sequences are not equally long.
    """
    if len(first) != len(second):
        raise ValueError(f"expected pairs, got {len(first)} and {len(second)} values")
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a > 0 and b > 0]
    if len(pairs) < 2:
        return None
    one, other = np.log(np.array(pairs)).T
    gains = other - one
    half = float(student_t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / math.sqrt(len(gains)))
    mean = float(gains.mean())
    return math.exp(mean), (math.exp(mean - half), math.exp(mean + half))


def _pairs(first: Sequence[bool], second: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    if len(first) != len(second):
        raise ValueError(f"expected pairs, got {len(first)} and {len(second)} outcomes")
    return np.asarray(first, bool), np.asarray(second, bool)
