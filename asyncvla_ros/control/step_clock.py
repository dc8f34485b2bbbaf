"""The time of a controller step: by this machine's clocks, or by the ticks of a world that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from asyncvla_ros.control.clock import MotionClock
from asyncvla_ros.control.clock_pair import ClockPair


class StepClock:
    """The node clock, which says which action is due, and the time of motion, read together.

    ::

        lockstep      both are the last tick: nothing happens between two ticks
        otherwise     the node clock (``ClockPair``), and steady or simulated time (``MotionClock``)

    Args:
        lockstep: The world waits for each command.
        node_clock: Returns the clock of the node, with ``now()`` and ``ros_time_is_active``.
    """

    def __init__(self, node_clock: Callable[[], Any], *, lockstep: bool):
        self._lockstep, self._node_clock = lockstep, node_clock
        self._pair, self._motion = ClockPair(), MotionClock()
        self._tick_ns = 0

    def tick(self, tick_ns: int) -> None:
        """Note a tick of the world [ns]."""
        self._tick_ns = tick_ns

    @property
    def has_begun(self) -> bool:
        """Whether a step has a time, which in lockstep begins with the first tick."""
        return self._tick_ns > 0 or not self._lockstep

    def times(self) -> tuple[int, int]:
        """Return the node clock and the time of motion [ns], read together."""
        if self._lockstep:
            return self._tick_ns, self._tick_ns
        clock = self._node_clock()
        now_ns, steady_ns = self._pair.read(clock)
        return now_ns, self._motion.read(steady_ns, now_ns, is_simulated=clock.ros_time_is_active)

    def motion_ns(self) -> int:
        """Return the time of motion [ns]."""
        return self.times()[1]

    def now_ns(self) -> int:
        """Return the node clock [ns]; in lockstep the last tick, which that clock may not show yet."""
        return self._tick_ns if self._lockstep else self._node_clock().now().nanoseconds

    def arrival_ns(self, stamp_ns: int) -> int:
        """Return now [ns, node clock], at the arrival of a message stamped ``stamp_ns``.

        In lockstep a chunk may overtake the tick of its own observation; then its stamp is the time.
        """
        return max(self.now_ns(), stamp_ns) if self._lockstep else self.now_ns()

    def deadline(self, allowed_ns: float) -> Callable[[], bool]:
        """Ask whether more than ``allowed_ns`` of steady time has passed since now; in lockstep never."""
        began_ns = time.monotonic_ns()
        return lambda: not self._lockstep and time.monotonic_ns() - began_ns > allowed_ns
