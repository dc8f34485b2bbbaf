from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.common.lateness import Lateness


def test_nothing_is_late_before_the_first_tick():
    lateness = Lateness(8)
    assert (lateness.p50_s, lateness.p99_s, lateness.worst_s, lateness.worst_ever_s) == (0.0,) * 4
    assert (lateness.ticks, lateness.gaps) == (0, 0)


@given(st.lists(st.floats(-0.005, 0.1), min_size=1, max_size=60), st.integers(1, 20))
def test_metrics_are_those_of_the_newest_ticks(late, window):
    lateness = Lateness(window)
    for late_s in late:
        lateness.note(late_s)
    counted = np.maximum(late, 0)
    newest = counted[-window:]
    assert lateness.p50_s == pytest.approx(np.percentile(newest, 50))
    assert lateness.p99_s == pytest.approx(np.percentile(newest, 99))
    assert lateness.worst_s == newest.max() and lateness.worst_ever_s == counted.max()
    assert lateness.ticks == len(late)


def test_only_what_is_later_than_a_gap_counts_as_one():
    lateness = Lateness(2, gap_s=0.03)
    for late_s in (0.0, 0.03, 0.031, 2.0, 0.0, 0.0):
        lateness.note(late_s)
    assert lateness.gaps == 2
    assert lateness.worst_s == 0.0 and lateness.worst_ever_s == 2.0, "the window forgets, the record does not"


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="window is 0, expected 1 or more"):
        Lateness(0)
