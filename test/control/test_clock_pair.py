from __future__ import annotations

from types import SimpleNamespace

import pytest

from asyncvla_ros.control import clock_pair

US, MS = 1_000, 1_000_000
AHEAD_NS = 1_800_000_000_000_000_000


class Machine:
    """A steady clock, and one of a node that is ahead of it; ``interrupted_ns`` pass while both are read."""

    def __init__(self, monkeypatch):
        self.steady_ns, self.ahead_ns, self.ros_time_is_active = 3_456_789_012_345, AHEAD_NS, False
        self._interrupted_ns = (US, US)
        monkeypatch.setattr(clock_pair.time, "monotonic_ns", lambda: self.steady_ns)
        self._clocks = clock_pair.ClockPair()

    def now(self) -> SimpleNamespace:
        before_ns, after_ns = self._interrupted_ns
        self.steady_ns += before_ns
        now_ns = self.steady_ns + self.ahead_ns
        self.steady_ns += after_ns
        return SimpleNamespace(nanoseconds=now_ns)

    def read_ahead_ns(self, *interrupted_ns: int) -> int:
        """How far the node's clock seems to be ahead."""
        self._interrupted_ns = interrupted_ns or (US, US)
        self.steady_ns += 20 * MS
        now_ns, at_ns = self._clocks.read(self)
        assert at_ns == self.steady_ns
        return now_ns - at_ns


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def test_who_is_interrupted_between_two_readings_is_not_misled(machine):
    first = machine.read_ahead_ns()
    assert first == AHEAD_NS
    for interrupted_ns in ((4 * MS, US), (US, 7 * MS), (300 * US, 2 * US), (2 * US, 90 * US)):
        assert machine.read_ahead_ns(*interrupted_ns) == first


def test_a_bad_beginning_is_corrected(machine):
    assert machine.read_ahead_ns(US, 8 * MS) != AHEAD_NS
    assert abs(machine.read_ahead_ns() - AHEAD_NS) <= US


@pytest.mark.parametrize("step_ns", [-3_000 * MS, 3_000 * MS, 50 * US, -50 * US])
def test_a_clock_that_is_set_is_followed_at_once(machine, step_ns):
    machine.read_ahead_ns()
    machine.ahead_ns += step_ns
    assert abs(machine.read_ahead_ns() - AHEAD_NS - step_ns) <= US


def test_a_simulated_clock_says_what_it_says(machine):
    machine.read_ahead_ns()
    machine.ros_time_is_active = True
    machine.ahead_ns = 10**9 - machine.steady_ns
    assert machine.read_ahead_ns() < -1_000 * MS
