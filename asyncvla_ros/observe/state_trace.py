"""Recent samples of one state topic, to look up the state at the time of an observation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping


class StateTrace:
    """Samples in the order of their stamps.

    Args:
        span_ns: Duration to remember [ns].
    """

    def __init__(self, span_ns: int):
        self._span_ns = span_ns
        self._stamps: list[int] = []
        self._values: list[Mapping[str, float]] = []

    def add(self, stamp_ns: int, values: Mapping[str, float]) -> None:
        """Add a sample of ``stamp_ns`` [ns]; a stamp before the last one means that time jumped back."""
        if self._stamps and stamp_ns < self._stamps[-1]:
            self._stamps, self._values = [], []
        self._stamps.append(stamp_ns)
        self._values.append(values)
        old = bisect_right(self._stamps, stamp_ns - self._span_ns)
        del self._stamps[:old], self._values[:old]

    def at(self, stamp_ns: int) -> Mapping[str, float] | None:
        """Return the last sample not after ``stamp_ns`` [ns], else the first one; None without samples."""
        if not self._stamps:
            return None
        return self._values[max(0, bisect_right(self._stamps, stamp_ns) - 1)]
