from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncvla_ros.observe.stream_sync import StreamSync
from support.contracts import MS


def _sync() -> StreamSync[str]:
    return StreamSync(("left", "right"), max_age_ns=200 * MS, max_skew_ns=20 * MS)


def _taken_once() -> StreamSync[str]:
    """Both streams have come, and their snapshot was taken."""
    sync = _sync()
    sync.put("left", 100 * MS, "l1")
    sync.put("right", 110 * MS, "r1")
    assert sync.take(120 * MS) is not None
    return sync


def test_a_snapshot_waits_for_every_stream():
    sync = _sync()
    assert sync.problems(0) == ["left: nothing received yet", "right: nothing received yet"]
    sync.put("left", 100 * MS, "l1")
    assert sync.take(100 * MS) is None
    sync.put("right", 110 * MS, "r1")
    snapshot = sync.take(120 * MS)
    assert snapshot is not None
    assert dict(snapshot.values) == {"left": "l1", "right": "r1"}
    assert (snapshot.stamp_ns, snapshot.skew_ns) == (100 * MS, 10 * MS)


def test_a_snapshot_is_taken_once_until_every_stream_has_something_new():
    sync = _taken_once()
    assert sync.take(120 * MS) is None, "the same observation again"
    sync.put("right", 119 * MS, "r2")
    assert sync.take(120 * MS) is None, "left has nothing new"
    sync.put("left", 115 * MS, "l2")
    assert sync.take(120 * MS) is not None


def test_once_rearmed_the_same_snapshot_is_taken_again():
    sync = _taken_once()
    sync.rearm()
    assert sync.take(120 * MS) is not None


def test_stale_and_skewed_streams_are_named():
    sync = _sync()
    sync.put("left", 0, "l")
    sync.put("right", 100 * MS, "r")
    assert sync.problems(100 * MS) == ["left: 0.100 s behind the newest stream, limit 0.02 s"]
    assert sync.problems(250 * MS) == ["left: 0.250 s old, limit 0.2 s"]
    assert sync.take(100 * MS) is None
    assert sync.ages_s(100 * MS) == {"left": 0.1, "right": 0.0}


def test_drops_are_counted():
    sync = _sync()
    for stamp in (10, 20, 20, 15):
        sync.put("left", stamp * MS, "l")
    counts = sync.counts["left"]
    assert (counts.received, counts.superseded, counts.out_of_order) == (4, 1, 2)
    with pytest.raises(KeyError):
        sync.put("middle", 0, "m")


def test_after_a_clock_jump_old_stamps_are_welcome():
    sync = _sync()
    for stream in ("left", "right"):
        sync.put(stream, 10_000 * MS, "old")
    assert sync.take(10_000 * MS) is not None
    sync.reset()
    for stream in ("left", "right"):
        assert sync.put(stream, 5 * MS, "new")
    snapshot = sync.take(5 * MS)
    assert snapshot is not None and snapshot.values["left"] == "new"


def test_a_sample_from_before_a_clock_jump_that_comes_after_it_blocks_nothing():
    sync = _sync()
    sync.reset()
    sync.put("left", 5000 * MS, "from before")
    sync.put("right", 5000 * MS, "from before")
    assert sync.take(5000 * MS) is not None
    assert sync.put("left", 100 * MS, "l1") and sync.put("right", 105 * MS, "r1")
    snapshot = sync.take(110 * MS)
    assert snapshot is not None and dict(snapshot.values) == {"left": "l1", "right": "r1"}
    assert not sync.put("left", 90 * MS, "overtaken")


@example([("left", 51), ("right", 41), ("right", 42), ("left", 0), ("left", 32)])
@given(st.lists(st.tuples(st.sampled_from(["left", "right"]), st.integers(0, 300)), max_size=80))
def test_snapshots_are_fresh_consistent_and_move_forward(samples):
    sync: StreamSync[int] = StreamSync(("left", "right"), max_age_ns=50 * MS, max_skew_ns=10 * MS)
    now, last = 0, -1
    for stream, stamp in samples:
        now = max(now, stamp)
        sync.put(stream, stamp * MS, stamp)
        snapshot = sync.take(now * MS)
        if snapshot is None:
            continue
        stamps = list(snapshot.values.values())
        assert min(stamps) * MS == snapshot.stamp_ns
        assert max(stamps) - min(stamps) <= 10
        assert now - min(stamps) <= 50
        assert min(stamps) > last
        last = min(stamps)


def test_a_stream_of_another_clock_is_named_and_the_healthy_ones_are_not():
    sync, hour = _sync(), 3_600_000 * MS
    now = 10 * hour
    sync.put("left", now + hour, "l", now)
    sync.put("right", now, "r", now)
    assert sync.take(now) is None
    ahead = "left: stamped 3600.000 s ahead of the node clock, limit 0.2 s; do the clocks agree?"
    assert sync.problems(now) == [ahead]
    sync.reset()
    sync.put("left", now - hour, "l", now)
    sync.put("right", 0, "r", now)
    assert sync.problems(now) == [
        "left: it comes 3600.000 s after its stamp, limit 0.2 s; is its driver slow, do the clocks agree?",
        "right: its samples have no stamp",
    ]


def test_why_a_stream_is_silent_is_asked_only_of_those_that_are():
    sync = _sync()
    sync.put("left", 100 * MS, "l")
    causes = {"right": "nobody publishes it"}
    assert sync.problems(100 * MS, causes.__getitem__) == ["right: nothing received yet; nobody publishes it"]


def test_what_cannot_be_used_takes_no_place_and_is_told_until_a_good_one_comes():
    sync = _sync()
    sync.reject("left", "position of j2 is missing")
    sync.put("right", 100 * MS, "r")
    assert sync.problems(100 * MS) == ["left: position of j2 is missing"]
    sync.put("left", 100 * MS, "l")
    sync.reject("left", "position of j2 is missing")
    assert sync.problems(100 * MS) == [], "a whole one is at hand"
    assert sync.take(100 * MS) is not None
    assert (sync.counts["left"].unusable, sync.counts["left"].received) == (2, 3)


def test_where_the_clock_is_simulated_samples_may_come_before_it():
    sync = StreamSync(("left", "right"), max_age_ns=200 * MS, max_skew_ns=20 * MS, permits_ahead=True)
    for stream in ("left", "right"):
        sync.put(stream, 6_000 * MS, stream, 0)
    assert sync.take(0) is not None
    assert (
        sync.problems(0)[0]
        == "left: stamped 6.000 s ahead of the node clock, limit 0.2 s; do the clocks agree?"
    )
