"""Node clock and steady clock, read as of one moment."""

from __future__ import annotations

import time
from typing import Any


class ClockPair:
    """Read both clocks and keep their difference constant while the readings permit it.

    ::

        steady   before ──────── after      the node's clock was read somewhere in between, which may be
        node            now                 milliseconds if the thread was interrupted

    The difference moves only as far as it must to agree with that, so that trajectories that are stamped by
    one clock and computed by the other one join exactly. A clock that is set, or slewed, is followed at once.
    """

    def __init__(self) -> None:
        self._ahead_ns: int | None = None

    def read(self, clock: Any) -> tuple[int, int]:
        """Read the node clock and the steady clock [ns].

        Args:
            clock: Of the node; a simulated one is returned as it reads.
        """
        before_ns = time.monotonic_ns()
        now_ns = clock.now().nanoseconds
        after_ns = time.monotonic_ns()
        if clock.ros_time_is_active:
            self._ahead_ns = None
            return now_ns, after_ns
        least_ns, most_ns = now_ns - after_ns, now_ns - before_ns
        ahead_ns = (least_ns + most_ns) // 2 if self._ahead_ns is None else self._ahead_ns
        self._ahead_ns = min(max(ahead_ns, least_ns), most_ns)
        return after_ns + self._ahead_ns, after_ns
