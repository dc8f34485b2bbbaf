"""How late the ticks of a loop are: figures for status and diagnostics."""

from __future__ import annotations

import math

import numpy as np


class Lateness:
    """Records how much later than its due time each tick comes.

    A tick costs the same however large the window is; percentiles are computed when asked for. All figures
    are 0 before the first tick.

    Args:
        window: How many of the newest ticks ``p50_s``, ``p99_s`` and ``worst_s`` are of.
        gap_s: A tick that is later than this came after a gap [s]; as a rule some periods.

    Attributes:
        ticks: How many there were.
        gaps: How many of them came after a gap.
        worst_ever_s: The latest of all ticks [s].
    """

    def __init__(self, window: int, gap_s: float = math.inf):
        if window < 1:
            raise ValueError(f"window is {window}, expected 1 or more")
        self._newest = np.zeros(window)
        self._gap_s = gap_s
        self.ticks = self.gaps = 0
        self.worst_ever_s = 0.0

    def note(self, late_s: float) -> None:
        """Note a tick that came ``late_s`` after it was due [s]; one that comes early is not late."""
        late_s = max(0.0, late_s)
        self._newest[self.ticks % len(self._newest)] = late_s
        self.ticks += 1
        self.gaps += late_s > self._gap_s
        self.worst_ever_s = max(self.worst_ever_s, late_s)

    @property
    def p50_s(self) -> float:
        """Median of the newest ticks [s]."""
        return self._percentile(50)

    @property
    def p99_s(self) -> float:
        """99th percentile of the newest ticks [s]."""
        return self._percentile(99)

    @property
    def worst_s(self) -> float:
        """The latest of the newest ticks [s]."""
        return self._percentile(100)

    def _percentile(self, share: float) -> float:
        values = self._newest[: self.ticks]
        return float(np.percentile(values, share)) if len(values) else 0.0
