"""What was done while a recording was made, as values over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Any

import numpy as np

from asyncvla_ros.bags.reader import Recorded
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.data.message_content import NS

# So many values are kept at least, though they are older than what is asked for.
KEPT = 2


class Series:
    """Values in the order of their stamps."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.values: list[Any] = []

    def add(self, stamp_ns: int, value: Any) -> None:
        """Keep a value; an earlier stamp than the last means a late one, or time set back."""
        at = bisect_right(self.stamps, stamp_ns)
        self.stamps.insert(at, stamp_ns)
        self.values.insert(at, value)

    def before(self, time_ns: int) -> tuple[int, Any] | None:
        """Return stamp and value of the last one not after ``time_ns`` [ns]; None: there is none."""
        at = bisect_right(self.stamps, time_ns) - 1
        return None if at < 0 else (self.stamps[at], self.values[at])

    def nearest(self, time_ns: int, within_ns: int) -> Any:
        """Return the value nearest to ``time_ns``; None if none is within ``within_ns`` [ns]."""
        at = bisect_left(self.stamps, time_ns)
        near = [i for i in (at - 1, at) if 0 <= i < len(self.stamps)]
        best = min(near, key=lambda i: abs(self.stamps[i] - time_ns), default=None)
        if best is None or abs(self.stamps[best] - time_ns) > within_ns:
            return None
        return self.values[best]

    def between(self, time_ns: int, within_ns: int) -> np.ndarray | None:
        """Interpolate at ``time_ns`` between neighbors at most ``within_ns`` [ns] apart."""
        at = bisect_left(self.stamps, time_ns)
        if at < len(self.stamps) and self.stamps[at] == time_ns:
            return np.asarray(self.values[at])
        if at == 0 or at == len(self.stamps) or self.stamps[at] - self.stamps[at - 1] > within_ns:
            return None
        share = (time_ns - self.stamps[at - 1]) / (self.stamps[at] - self.stamps[at - 1])
        return np.asarray((1 - share) * self.values[at - 1] + share * self.values[at])

    def forget(self, before_ns: int | None) -> None:
        """Drop all but the newest of those before a time [ns]; None drops all."""
        known = len(self.stamps)
        old = known if before_ns is None else max(0, bisect_left(self.stamps, before_ns) - KEPT)
        del self.stamps[:old], self.values[:old]


class Done(ABC):
    """What was done, message by message.

    Attributes:
        topics: In which messages it is found.
        series: What is kept of them.
        ahead_ns: So much later than an action is due its message may come [ns].
    """

    topics: set[str]
    series: Mapping[str, Series]
    ahead_ns: int = NS

    @abstractmethod
    def feed(self, one: Recorded) -> None:
        """Take a message of ``topics``."""

    @abstractmethod
    def at(self, chunk: StampedChunk) -> np.ndarray:
        """Return what was done when each action was due, (l, d) [units of the contract]; NaN: not known."""

    def forget(self, before_ns: int | None) -> None:
        """Forget what nobody will ask for, before ``before_ns`` [ns]; None: time was set back, forget all."""
        for series in self.series.values():
            series.forget(before_ns)
