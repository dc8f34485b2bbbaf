from __future__ import annotations

from math import factorial

import numpy as np
import pytest

from asyncvla_ros.bench.safety_samples import Samples, with_standing

MS = 1_000_000
T0 = 3_456_789_012_345


def samples(times_ns: np.ndarray, values: np.ndarray) -> Samples:
    count = len(times_ns)
    return Samples(times_ns, values, np.zeros(count, np.int64), np.ones(count, bool))


def test_differences_of_a_cubic_are_its_derivatives():
    times = T0 + np.array([0, 3, 21, 40, 44, 90]) * MS
    t = (times - T0) / 1e9
    found = [value for value, _ in samples(times, 5 * t[:, None] ** 3).derivatives()]
    np.testing.assert_allclose(found[3], 30, rtol=1e-9)
    # Of a cubic the second one is the derivative at the mean of its three times.
    np.testing.assert_allclose(found[2][:, 0], 30 * (t[2:] + t[1:-1] + t[:-2]) / 3, rtol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_difference_is_off_by_as_much_as_the_formula_says(order):
    times = T0 + np.array([0, 3, 21, 40]) * MS
    t = (times - T0) / 1e9
    _, off = list(samples(times, np.zeros((4, 1))).derivatives())[order]
    window = t[: order + 1]
    products = [np.prod([abs(a - b) for b in window if b != a]) for a in window]
    assert off[0] == pytest.approx(factorial(order) * sum(1 / product for product in products))
    # Signs that alternate reach it.
    _, even = list(samples(T0 + np.arange(4) * 5 * MS, np.zeros((4, 1))).derivatives())[order]
    np.testing.assert_allclose(even, 2**order / 0.005**order)
    worst, _ = list(samples(times, np.array([[1.0], [-1], [1], [-1]])).derivatives())[order]
    assert abs(worst[0, 0]) == pytest.approx(off[0])


def test_what_begins_stood_before():
    times, values = T0 + np.array([0, 20, 90]) * MS, np.array([[1.0], [2.0], [3.0]])
    begins, standing = np.array([True, False, True]), np.array([[0.5], [0.0], [2.5]])
    found = with_standing(times, values, begins, standing, 20 * MS, stretch=4)
    np.testing.assert_array_equal((found.times_ns - T0) // MS, [-60, -40, -20, 0, 20, 30, 50, 70, 90])
    np.testing.assert_array_equal(found.values[:, 0], [0.5, 0.5, 0.5, 1, 2, 2.5, 2.5, 2.5, 3])
    np.testing.assert_array_equal(found.stretch, [5] * 5 + [6] * 4)
    np.testing.assert_array_equal(np.flatnonzero(found.is_new), [3, 4, 8])
    np.testing.assert_array_equal(np.flatnonzero(found.successive(3)) + 3, [3, 4, 8])
