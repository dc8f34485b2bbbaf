from __future__ import annotations

from types import SimpleNamespace

import pytest

from asyncvla_ros.control import step_clock
from asyncvla_ros.control.step_clock import StepClock

MS = 1_000_000


class NodeClock:
    """A clock that reads ``ns``; simulated ones tick."""

    def __init__(self, ns: int, *, is_simulated: bool = False):
        self.ns, self.ros_time_is_active = ns, is_simulated

    def now(self) -> SimpleNamespace:
        return SimpleNamespace(nanoseconds=self.ns)


def test_in_lockstep_there_is_no_time_but_that_of_the_last_tick():
    clock = StepClock(lambda: NodeClock(77 * MS), lockstep=True)
    assert not clock.has_begun
    clock.tick(5 * MS)
    assert clock.has_begun
    assert clock.times() == (5 * MS, 5 * MS) and clock.now_ns() == clock.motion_ns() == 5 * MS


def test_a_chunk_that_overtakes_its_tick_proves_the_time():
    clock = StepClock(lambda: NodeClock(0), lockstep=True)
    clock.tick(5 * MS)
    assert clock.arrival_ns(6 * MS) == 6 * MS
    assert clock.arrival_ns(4 * MS) == 5 * MS
    assert StepClock(lambda: NodeClock(5 * MS), lockstep=False).arrival_ns(6 * MS) == 5 * MS


def test_motion_goes_on_by_a_simulated_clock_while_it_runs(monkeypatch):
    steady = SimpleNamespace(ns=10**12)
    monkeypatch.setattr(step_clock.time, "monotonic_ns", lambda: steady.ns)
    node = NodeClock(10**9, is_simulated=True)
    clock = StepClock(lambda: node, lockstep=False)
    began = clock.motion_ns()
    steady.ns += 40 * MS
    node.ns += 20 * MS
    assert clock.times() == (10**9 + 20 * MS, began + 20 * MS)


@pytest.mark.parametrize("lockstep", [True, False])
def test_a_deadline_counts_steady_time_unless_the_world_waits(monkeypatch, lockstep):
    steady = SimpleNamespace(ns=10**12)
    monkeypatch.setattr(step_clock.time, "monotonic_ns", lambda: steady.ns)
    is_late = StepClock(lambda: NodeClock(0), lockstep=lockstep).deadline(10 * MS)
    steady.ns += 10 * MS
    assert not is_late()
    steady.ns += 1
    assert is_late() is not lockstep
