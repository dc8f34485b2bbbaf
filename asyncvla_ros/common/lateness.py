"""Lateness of a loop's ticks, for status and diagnostics."""

from __future__ import annotations

import math

import numpy as np


class Lateness:
    """Record how late each tick comes.

    The cost of a tick does not depend on the window; percentiles are computed when they are read. All metrics
    are 0 before the first tick.

    Args:
        window: Number of the newest ticks for ``p50_s``, ``p99_s`` and ``worst_s``.
        gap_s: Lateness above which a tick counts as a gap [s]; usually some periods.

    Attributes:
        ticks: Number of ticks.
        gaps: Number of gaps.
        worst_ever_s: Greatest lateness of all ticks [s].
    """

    def __init__(self, window: int, gap_s: float = math.inf):
        if window < 1:
            raise ValueError(f"window is {window}, expected 1 or more")
        self._newest = np.zeros(window)
        self._gap_s = gap_s
        self.ticks = self.gaps = 0
        self.worst_ever_s = 0.0

    def note(self, late_s: float) -> None:
        """Note a tick that came ``late_s`` [s] after it was due; an early one counts as 0."""
        late_s = max(0.0, late_s)
        self._newest[self.ticks % len(self._newest)] = late_s
        self.ticks += 1
        self.gaps += late_s > self._gap_s
        self.worst_ever_s = max(self.worst_ever_s, late_s)

    @property
    def p50_s(self) -> float:
        """Median lateness of the newest ticks [s]."""
        return self._percentile(50)

    @property
    def p99_s(self) -> float:
        """99th percentile of the newest ticks' lateness [s]."""
        return self._percentile(99)

    @property
    def worst_s(self) -> float:
        """Greatest lateness of the newest ticks [s]."""
        return self._percentile(100)

    def _percentile(self, share: float) -> float:
        values = self._newest[: self.ticks]
        return float(np.percentile(values, share)) if len(values) else 0.0
