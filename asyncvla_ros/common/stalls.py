"""Stalls of the whole machine, which would disturb a measurement on it.

A separate process sleeps in short steps on the steady clock and records each step that took too long:

    step step step |······ begin, duration ······| step step
"""

from __future__ import annotations

import gc
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType

from asyncvla_ros.types import RunError

# Number of stalls to keep, the newest ones.
_KEPT = 4096
# Layout of the shared memory, int64: time of the last step, number of stalls, start and duration of each.
_SEEN, _COUNT, _FIRST = 0, 1, 2
_BYTES = 8 * (_FIRST + 2 * _KEPT)
# Time to wait for the watcher's first step, and for a step after the end of the interval [s].
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Stall:
    """An interval in which the watcher was due but did not run [ns, ``time.monotonic_ns``]."""

    begin_ns: int
    duration_ns: int


class StallWatcher:
    """Record stalls of the machine while the block runs.

    The watcher has normal priority: on a machine with too few cores it waits like the measured work, and
    records that. Linux only.

    Args:
        longer_than_s: Least duration of a recorded stall [s].
        step_s: Duration of a step [s].
    """

    def __init__(self, longer_than_s: float = 0.005, step_s: float = 0.001):
        self._settings = (round(longer_than_s * 1e9), round(step_s * 1e9))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> StallWatcher:
        descriptor = os.memfd_create("stalls")
        try:
            os.ftruncate(descriptor, _BYTES)
            self._values = memoryview(mmap.mmap(descriptor, _BYTES)).cast("q")
            arguments = [str(value) for value in (descriptor, os.getpid(), *self._settings)]
            command = [sys.executable, "-m", __name__, *arguments]
            self._process = subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL)
        finally:
            os.close(descriptor)
        try:
            self._wait_until_seen(1)
        except RunError:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int:
        """Process id of the watcher."""
        assert self._process is not None
        return self._process.pid

    def stalls_between(self, begin_ns: int, end_ns: int) -> tuple[Stall, ...]:
        """Wait until an interval has been watched; return the stalls that overlap it, in order.

        Args:
            begin_ns: Start of the interval [ns, ``time.monotonic_ns``].
            end_ns: End of the interval, not in the future.

        Raises:
            RunError: The watcher has ended or did not start.
        """
        self._wait_until_seen(end_ns)
        count = self._values[_COUNT]
        stalls = [self._stall(index) for index in range(max(0, count - _KEPT), count)]
        return tuple(
            stall
            for stall in stalls
            if stall.begin_ns < end_ns and stall.begin_ns + stall.duration_ns > begin_ns
        )

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _stall(self, index: int) -> Stall:
        place = _place(index)
        return Stall(self._values[place], self._values[place + 1])

    def _wait_until_seen(self, time_ns: int) -> None:
        assert self._process is not None
        deadline, pause = time.monotonic() + _PATIENCE_S, threading.Event()
        while self._values[_SEEN] < time_ns:
            code = self._process.poll()
            if code is not None:
                raise RunError(f"the watcher of stalls ended with exit code {code}")
            if time.monotonic() > deadline:
                raise RunError(f"the watcher of stalls has not run for {_PATIENCE_S:g} s")
            pause.wait(0.001)


def _place(index: int) -> int:
    return _FIRST + 2 * (index % _KEPT)


def _watch(descriptor: int, parent: int, longer_than_ns: int, step_ns: int) -> None:
    """Watch until the parent has ended."""
    # The parent handles Ctrl-C and then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    values = memoryview(mmap.mmap(descriptor, _BYTES)).cast("q")
    never = threading.Event()
    before_ns = time.monotonic_ns()
    while os.getppid() == parent:
        never.wait(step_ns / 1e9)
        now_ns = time.monotonic_ns()
        due_ns = before_ns + step_ns
        if now_ns - due_ns > longer_than_ns:
            index = values[_COUNT]
            place = _place(index)
            values[place], values[place + 1] = due_ns, now_ns - due_ns
            values[_COUNT] = index + 1
        values[_SEEN] = before_ns = now_ns


if __name__ == "__main__":
    _watch(*map(int, sys.argv[1:]))
