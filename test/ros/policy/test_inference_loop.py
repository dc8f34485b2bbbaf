"""The inference thread: newest snapshot, one at a time, each once."""

from __future__ import annotations

import threading

import pytest

from asyncvla_ros.observe.stream_sync import StreamSync
from asyncvla_ros.ros.policy.inference_loop import InferenceLoop

pytestmark = pytest.mark.ros


class Harness:
    """A loop over one stream whose inferences the test lets through one by one."""

    def __init__(self, *, wanted: bool = True):
        self.stamps: list[int] = []
        self.failures: list[str] = []
        self.wanted = wanted
        self.began = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.crashed = threading.Event()
        sync: StreamSync[str] = StreamSync(("camera",), max_age_ns=10**12, max_skew_ns=0)
        self.loop = InferenceLoop(sync, lambda: 0, lambda: self.wanted, self._infer, self._crash)

    def _infer(self, snapshot):
        self.stamps.append(snapshot.stamp_ns)
        self.began.release()
        assert self.gate.acquire(timeout=30.0)
        if snapshot.values["camera"] == "bad":
            raise ZeroDivisionError("nothing to divide by")

    def _crash(self, text):
        self.failures.append(text)
        self.crashed.set()

    def wait(self):
        assert self.began.acquire(timeout=30.0)


@pytest.fixture
def harness():
    built = Harness()
    yield built
    built.gate.release(100)
    built.loop.stop()


def test_samples_that_come_meanwhile_replace_each_other(harness):
    harness.loop.start()
    harness.loop.put("camera", 1, "a")
    harness.wait()
    for stamp in (2, 3, 4):
        harness.loop.put("camera", stamp, "b")
    harness.gate.release()
    harness.wait()
    assert harness.stamps == [1, 4]
    with harness.loop.locked() as sync:
        assert sync.counts["camera"].superseded == 2


def test_the_same_observation_is_not_inferred_twice(harness):
    harness.loop.start()
    harness.loop.put("camera", 1, "a")
    harness.wait()
    harness.gate.release()
    harness.loop.put("camera", 1, "a")
    harness.loop.put("camera", 2, "a")
    harness.wait()
    assert harness.stamps == [1, 2]


def test_an_observation_is_looked_at_again_on_request(harness):
    harness.loop.start()
    harness.loop.put("camera", 1, "a")
    harness.wait()
    harness.loop.look_again()
    harness.gate.release()
    harness.wait()
    assert harness.stamps == [1, 1]


def test_nothing_is_done_until_it_is_wanted(harness):
    harness.wanted = False
    harness.loop.start()
    harness.loop.put("camera", 1, "a")
    harness.loop.put("camera", 2, "a")
    harness.wanted = True
    harness.loop.wake()
    harness.wait()
    assert harness.stamps == [2]


def test_a_restart_takes_the_observation_at_hand_again(harness):
    harness.loop.start()
    harness.loop.put("camera", 1, "a")
    harness.wait()
    harness.gate.release()
    harness.loop.stop()
    harness.loop.stop()
    assert not harness.loop.is_running
    harness.loop.start()
    harness.wait()
    assert harness.stamps == [1, 1]


def test_a_crash_is_told_with_its_traceback(harness):
    harness.loop.start()
    harness.gate.release()
    harness.loop.put("camera", 1, "bad")
    assert harness.crashed.wait(30.0)
    assert "ZeroDivisionError: nothing to divide by" in harness.failures[0]
    harness.loop.stop()
