from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from asyncvla_ros.common.stalls import StallWatcher
from asyncvla_ros.types import RunError

MS = 1_000_000


@pytest.fixture
def watcher():
    with StallWatcher(longer_than_s=0.02) as watcher:
        yield watcher


def freeze(watcher: StallWatcher, seconds: float) -> tuple[int, int]:
    """Return the interval [ns] in which it certainly stood still."""
    os.kill(watcher.pid, signal.SIGSTOP)
    os.waitpid(watcher.pid, os.WUNTRACED)
    begin_ns = time.monotonic_ns()
    time.sleep(seconds)
    end_ns = time.monotonic_ns()
    os.kill(watcher.pid, signal.SIGCONT)
    # So that two of these are two stalls.
    watcher.stalls_between(begin_ns, end_ns)
    return begin_ns, end_ns


def test_a_machine_that_stands_still_is_noticed(watcher):
    before_ns = time.monotonic_ns()
    frozen = [freeze(watcher, 0.08) for _ in range(2)]
    after_ns = time.monotonic_ns()
    for begin_ns, end_ns in frozen:
        # It sleeps a millisecond first, which is no stall.
        slack_ns = 2 * MS
        assert any(
            stall.begin_ns <= begin_ns + slack_ns and stall.begin_ns + stall.duration_ns >= end_ns
            for stall in watcher.stalls_between(begin_ns, end_ns)
        )
    stalls = watcher.stalls_between(before_ns, after_ns)
    assert len(stalls) >= 2 and all(stall.duration_ns > 20 * MS for stall in stalls)
    assert [stall.begin_ns for stall in stalls] == sorted(stall.begin_ns for stall in stalls)


def test_only_stalls_of_the_interval_are_told(watcher):
    _, end_ns = freeze(watcher, 0.08)
    stall = watcher.stalls_between(end_ns - 1, end_ns)[-1]
    after_ns = stall.begin_ns + stall.duration_ns
    assert stall not in watcher.stalls_between(after_ns, time.monotonic_ns())
    assert stall not in watcher.stalls_between(0, stall.begin_ns)
    assert stall in watcher.stalls_between(after_ns - 1, after_ns)


def test_more_stalls_than_are_kept(watcher, monkeypatch):
    monkeypatch.setattr("asyncvla_ros.common.stalls._KEPT", 2)
    values = memoryview(bytearray(8 * 6)).cast("q")
    monkeypatch.setattr(watcher, "_values", values)
    values[0], values[1] = 100, 3
    values[2:6] = memoryview(b"".join(v.to_bytes(8, sys.byteorder) for v in (50, 9, 30, 5))).cast("q")
    assert [(s.begin_ns, s.duration_ns) for s in watcher.stalls_between(0, 100)] == [(30, 5), (50, 9)]


def test_a_watcher_that_has_ended_is_an_error(watcher):
    os.kill(watcher.pid, signal.SIGKILL)
    with pytest.raises(RunError, match="the watcher of stalls ended with exit code -9"):
        watcher.stalls_between(0, time.monotonic_ns() + 1_000_000_000)


def test_it_ends_with_whoever_started_it():
    code = (
        "import os, signal\n"
        "from asyncvla_ros.common.stalls import StallWatcher\n"
        "watcher = StallWatcher().__enter__()\n"
        "print(watcher.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    deadline = time.monotonic() + 30.0
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
