"""Running metrics for diagnostics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np


class Percentiles:
    """p50, p95 and p99 of the newest ``size`` values."""

    def __init__(self, size: int = 512):
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        """Note a value and forget the oldest one."""
        self._values.append(value)

    def summary(self) -> dict[str, float]:
        """Return ``{"p50": ..., "p95": ..., "p99": ...}``, NaN before the first value."""
        values = list(self._values)
        if not values:
            return {"p50": float("nan"), "p95": float("nan"), "p99": float("nan")}
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


class Rates:
    """Events per second from counts that only grow, between one call and the next."""

    def __init__(self) -> None:
        self._last: tuple[float, dict[str, int]] | None = None

    def update(self, now_s: float, counts: Mapping[str, int]) -> dict[str, float]:
        """Return each count's rate [Hz] since the last call at an earlier ``now_s`` [s]; NaN at first."""
        last, self._last = self._last, (now_s, dict(counts))
        if last is None or now_s <= last[0]:
            return {name: float("nan") for name in counts}
        return {name: (count - last[1].get(name, 0)) / (now_s - last[0]) for name, count in counts.items()}
