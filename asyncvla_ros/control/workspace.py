"""Keeps deltas from leading out of the workspace."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.robot.contract import RobotContract

# Number of lags after which nothing is left of a delta, but for rounding.
LAGS = 20


class Workspace:
    """Track the positions of delta dofs and limit their deltas to the workspace.

    ::

        measured ──+ deltas commanded since──> position now ──+ next delta──> must be inside

    The stamp of a measurement gives its age; deltas are dated by steady time, so setting the clock makes no
    difference. An arm that lags had not made all earlier deltas either: those of the last ``lag_s`` may all
    be to come, of older ones what a first-order lag leaves. A single sample may be wrong, so older samples
    count as well. From outside (the arm was pushed, or the box is too small) only deltas back inside are
    permitted.

    Args:
        robot: Its action dims with a ``workspace`` are limited.
    """

    def __init__(self, robot: RobotContract):
        spaces = [dof.workspace for dof in robot.dofs]
        self._states = [None if space is None else space.state for space in spaces]
        self._minimum = np.array([-np.inf if space is None else space.minimum for space in spaces])
        self._maximum = np.array([np.inf if space is None else space.maximum for space in spaces])
        self._limited = [name is not None for name in self._states]
        self._commanded: deque[tuple[int, np.ndarray]] = deque()
        self._lag_ns = round(1e9 * robot.lag_s)
        self._oldest_ns = round(1e9 * robot.observation_timeout_s)

    @property
    def is_unlimited(self) -> bool:
        """Whether no dof is limited."""
        return not any(self._states)

    def positions(self, state: RobotState, now_ns: int, at_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and greatest position now.

        Args:
            state: The measured state.
            now_ns: [ns, node clock].
            at_ns: [ns, steady].

        Returns:
            Two (d,) float64 [unit]; 0 for dofs without workspace, NaN without a measurement.
        """
        low, high = np.zeros(len(self._states)), np.zeros(len(self._states))
        if self.is_unlimited:
            return low, high
        while self._commanded and self._commanded[0][0] < at_ns - self._oldest_ns - LAGS * self._lag_ns:
            self._commanded.popleft()
        for index, name in enumerate(self._states):
            if name is None:
                continue
            ages = [(self._age_ns(stamp, now_ns), value) for stamp, value in state.samples(name)]
            # A measurement that is too old is not used, unless there is no other.
            spans = [self._span(index, at_ns - age, value) for age, value in ages if age < self._oldest_ns]
            spans = spans or [self._span(index, at_ns - age, value) for age, value in ages[-1:]]
            low[index] = min((least for least, _ in spans), default=np.nan)
            high[index] = max((most for _, most in spans), default=np.nan)
        return low, high

    def _age_ns(self, stamp_ns: int | None, now_ns: int) -> int:
        age_ns = self._oldest_ns if stamp_ns is None else now_ns - stamp_ns
        return min(max(age_ns, 0), self._oldest_ns)

    def _span(self, index: int, measured_ns: int, value: float) -> tuple[float, float]:
        """Return where a dof may be now that was at ``value`` [unit] at ``measured_ns`` [ns, steady]."""
        now, least, most = value, 0.0, 0.0
        for at_ns, delta in self._commanded:
            step = float(delta[index])
            if at_ns >= measured_ns:
                now += step
                continue
            age_ns = measured_ns - at_ns
            left = step if age_ns <= self._lag_ns else step * math.exp(-age_ns / self._lag_ns)
            least, most = least + min(left, 0.0), most + max(left, 0.0)
        return now + least, now + most

    def clamp(self, deltas: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return the nearest deltas (d,) that stay inside from anywhere between ``low`` and ``high`` (d,)."""
        least = np.minimum(self._minimum, low) - low
        most = np.maximum(self._maximum, high) - high
        return np.clip(deltas, np.minimum(least, 0.0), np.maximum(most, 0.0))

    def note(self, deltas: np.ndarray, at_ns: int) -> None:
        """Note deltas (d,) commanded at ``at_ns`` [ns, steady]."""
        if np.any(deltas[self._limited]):
            self._commanded.append((at_ns, deltas))
