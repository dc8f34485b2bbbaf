from __future__ import annotations

import pytest

from asyncvla_ros.sim.evaluation.stats import (
    mcnemar,
    paired_difference,
    paired_ratio,
    percentiles,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Reference values from Newcombe (1998), table I (score method without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (10, 10, 0.7225, 1.0000),
    ],
)
def test_wilson_interval_equals_published_values(
    successes: int, trials: int, low: float, high: float
) -> None:
    found = wilson_interval(successes, trials)
    assert found == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_interval_rejects_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes <= trials"):
        wilson_interval(successes, trials)


def test_percentiles() -> None:
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p95": 2.9}
    assert percentiles([]) == {"p50": 0.0, "p95": 0.0}


def test_mcnemar_counts_the_differing_pairs_only() -> None:
    """Six pairs changed to success and none to failure: 2 / 2^6."""
    first, second = [False] * 6 + [True] * 50, [True] * 56
    assert mcnemar(first, second) == pytest.approx(0.03125)
    assert mcnemar(second, first) == pytest.approx(0.03125)
    assert mcnemar(second, second) == 1.0
    assert mcnemar([True, False], [False, True]) == 1.0
    with pytest.raises(ValueError, match="2 and 1"):
        mcnemar([True, False], [True])


def test_paired_difference_on_worked_numbers() -> None:
    first, second = [False] * 20 + [True] * 80, [True] * 100
    gain, interval = paired_difference(first, second)
    assert gain == pytest.approx(0.2)
    # p = 21/102, q = 1/102: 0.1961 +- 1.96 * sqrt((22/102 - 0.1961^2) / 102).
    assert interval == pytest.approx((0.1144, 0.2778), abs=1e-4)
    assert paired_difference(second, first)[1] == pytest.approx((-0.2778, -0.1144), abs=1e-4)
    with pytest.raises(ValueError, match="at least one"):
        paired_difference([], [])


def test_pairs_that_do_not_differ_prove_nothing() -> None:
    assert paired_difference([True] * 200, [True] * 200) == (0.0, pytest.approx((-0.0137, 0.0137), abs=1e-4))
    low, high = paired_difference([False] + [True] * 99, [True] * 100)[1]
    assert low < 0 < high
    assert paired_difference([False], [True])[1] == (pytest.approx(-0.7335, abs=1e-3), 1.0)


def test_paired_ratio_on_worked_numbers() -> None:
    """Logarithms of 1/2 and 1/8: mean -2 ln 2, standard deviation sqrt(2) ln 2, t of one degree 12.7062."""
    found = paired_ratio([100.0, 8.0, 0.0], [50.0, 1.0, 7.0])
    assert found is not None
    ratio, (low, high) = found
    assert ratio == pytest.approx(0.25)
    assert (low, high) == pytest.approx((0.25 / 2**12.7062, 0.25 * 2**12.7062), rel=1e-4)
    assert paired_ratio([1.0, 0.0], [2.0, 2.0]) is None
    with pytest.raises(ValueError, match="2 and 1"):
        paired_ratio([1.0, 2.0], [1.0])
