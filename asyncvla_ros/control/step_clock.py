"""When a step of the controller is: by the clocks of this machine, or by the ticks of a world that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from asyncvla_ros.control.clock import MotionClock
from asyncvla_ros.control.clock_pair import ClockPair


class StepClock:
    """The node clock, which says which action is due, and the time of motion, as of one moment.

    ::

        lockstep      both are the last tick: nothing happens between two of them
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
        """The world has come to ``tick_ns`` [ns]."""
        self._tick_ns = tick_ns

    @property
    def has_begun(self) -> bool:
        """Whether a step has a time: in lockstep not before the first tick."""
        return self._tick_ns > 0 or not self._lockstep

    def times(self) -> tuple[int, int]:
        """Node clock and the time of motion [ns], at one moment."""
        if self._lockstep:
            return self._tick_ns, self._tick_ns
        clock = self._node_clock()
        now_ns, steady_ns = self._pair.read(clock)
        return now_ns, self._motion.read(steady_ns, now_ns, is_simulated=clock.ros_time_is_active)

    def motion_ns(self) -> int:
        """The time of motion [ns]."""
        return self.times()[1]

    def now_ns(self) -> int:
        """The node clock [ns]; in lockstep the last tick, which the node clock may not have seen yet."""
        return self._tick_ns if self._lockstep else self._node_clock().now().nanoseconds

    def arrival_ns(self, stamp_ns: int) -> int:
        """Now [ns, node clock], for what is stamped ``stamp_ns``.

        In lockstep a chunk may overtake the tick of its own observation; its stamp proves the time.
        """
        return max(self.now_ns(), stamp_ns) if self._lockstep else self.now_ns()

    def deadline(self, allowed_ns: float) -> Callable[[], bool]:
        """Asks whether more than ``allowed_ns`` of steady time has passed since now; in lockstep never."""
        began_ns = time.monotonic_ns()
        return lambda: not self._lockstep and time.monotonic_ns() - began_ns > allowed_ns
