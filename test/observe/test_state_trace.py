from __future__ import annotations

from asyncvla_ros.observe.state_trace import StateTrace


def test_the_last_sample_not_after_the_time_counts():
    trace = StateTrace(100)
    assert trace.at(5) is None
    for stamp in (10, 20, 30):
        trace.add(stamp, {"x": stamp})
    assert [trace.at(stamp)["x"] for stamp in (5, 10, 19, 20, 99)] == [10, 10, 10, 20, 30]


def test_old_samples_are_forgotten():
    trace = StateTrace(100)
    for stamp in (0, 50, 120):
        trace.add(stamp, {"x": stamp})
    assert trace.at(0)["x"] == 50


def test_nothing_survives_a_clock_that_jumps_back():
    trace = StateTrace(100)
    trace.add(1000, {"x": 1})
    trace.add(10, {"x": 2})
    assert trace.at(2000)["x"] == 2
