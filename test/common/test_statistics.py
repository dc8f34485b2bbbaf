from __future__ import annotations

import math

from asyncvla_ros.common.statistics import Percentiles, Rates


def test_percentiles_of_the_newest_values():
    metrics = Percentiles(size=101)
    assert all(math.isnan(value) for value in metrics.summary().values())
    for value in [1e9, *range(101)]:
        metrics.add(value)
    assert metrics.summary() == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_rates_between_calls():
    rates = Rates()
    assert math.isnan(rates.update(10.0, {"a": 5})["a"])
    assert rates.update(12.0, {"a": 25, "b": 4}) == {"a": 10.0, "b": 2.0}
    assert math.isnan(rates.update(12.0, {"a": 25})["a"])
