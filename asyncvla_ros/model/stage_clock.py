"""Durations of the stages of inference."""

from __future__ import annotations

import time

import torch

from asyncvla_ros.types import StageTimes


class StageClock:
    """Sum up the duration of each stage over all its laps.

    Args:
        device: Device to synchronize at the end of a lap.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ms = {"prefix": 0.0, "draft": 0.0, "rate": 0.0, "refine": 0.0}
        self._began = self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to ``stage``."""
        now = self._now()
        self._ms[stage] += 1e3 * (now - self._last)
        self._last = now

    def times(self) -> StageTimes:
        """Return the sums so far, and the time since the start."""
        return StageTimes(**self._ms, total=1e3 * (self._now() - self._began))

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
