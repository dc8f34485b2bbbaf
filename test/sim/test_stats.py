from __future__ import annotations

import pytest

from asyncvla_ros.sim.stats import mcnemar, paired_difference, percentiles, wilson_interval


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


def test_paired_difference_has_an_interval_that_repeats() -> None:
    first, second = [False] * 20 + [True] * 80, [True] * 100
    gain, (low, high) = paired_difference(first, second)
    assert gain == pytest.approx(0.2)
    # The normal approximation: 0.2 +- 1.96 * sqrt(0.16 / 100).
    assert (low, high) == pytest.approx((0.1216, 0.2784), abs=0.015)
    assert paired_difference(first, second) == (gain, (low, high))
    assert paired_difference(second, second) == (0.0, (0.0, 0.0))
    with pytest.raises(ValueError, match="at least one"):
        paired_difference([], [])
