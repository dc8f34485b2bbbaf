"""Keeps changes per step from leading out of the workspace."""

from __future__ import annotations

from collections import deque

import numpy as np

from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.robot.contract import RobotContract

# Earlier than any stamp.
_BEFORE = -1


class Workspace:
    """Where the dofs that are changes are, and how far they may still go.

    ::

        measured at t0 ──+ changes commanded since t0──> position now ──+ next change──> must be inside

    An arm that lags has not yet made all changes of before t0 either: those of the last ``lag_s``, and half
    as many again for an arm that comes ever closer, may still be to come. One sample alone may be wrong:
    those before it count as well. From outside (pushed there, or the box was drawn too small) only changes
    back towards it are permitted.

    Args:
        robot: Its action dims; those with a ``workspace`` are limited.
    """

    def __init__(self, robot: RobotContract):
        spaces = [dof.workspace for dof in robot.dofs]
        self._states = [None if space is None else space.state for space in spaces]
        self._minimum = np.array([-np.inf if space is None else space.minimum for space in spaces])
        self._maximum = np.array([np.inf if space is None else space.maximum for space in spaces])
        self._limited = [name is not None for name in self._states]
        self._commanded: deque[tuple[int, np.ndarray]] = deque()
        self._lag_ns = round(1.5e9 * robot.lag_s)

    @property
    def is_unlimited(self) -> bool:
        """Whether no dof is limited."""
        return not any(self._states)

    def positions(self, state: RobotState) -> tuple[np.ndarray, np.ndarray]:
        """(d,) float64 each, the least and the greatest position now [unit]; 0 for dofs without workspace.

        NaN where none was measured yet.
        """
        low, high = np.zeros(len(self._states)), np.zeros(len(self._states))
        if self.is_unlimited:
            return low, high
        samples = [() if name is None else state.samples(name) for name in self._states]
        stamps = [_BEFORE if stamp_ns is None else stamp_ns for one in samples for stamp_ns, _ in one]
        oldest = min(stamps, default=_BEFORE) - self._lag_ns
        while self._commanded and self._commanded[0][0] < oldest:
            self._commanded.popleft()
        for index, name in enumerate(self._states):
            if name is not None:
                spans = [self._span(index, stamp_ns, value) for stamp_ns, value in samples[index]]
                low[index] = min((least for least, _ in spans), default=np.nan)
                high[index] = max((most for _, most in spans), default=np.nan)
        return low, high

    def _span(self, index: int, stamp_ns: int | None, value: float) -> tuple[float, float]:
        """Where a dof may be now that was measured at ``value`` [unit]."""
        changes = [(at, change[index]) for at, change in self._commanded]
        now = value + sum(change for at, change in changes if stamp_ns is None or at >= stamp_ns)
        if stamp_ns is None:
            return now, now
        late = [change for at, change in changes if stamp_ns - self._lag_ns <= at < stamp_ns]
        return now + sum(c for c in late if c < 0), now + sum(c for c in late if c > 0)

    def clamp(self, changes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The nearest changes (d,) that do not lead out, from anywhere between ``low`` and ``high`` (d,)."""
        least = np.minimum(self._minimum, low) - low
        most = np.maximum(self._maximum, high) - high
        return np.clip(changes, np.minimum(least, 0.0), np.maximum(most, 0.0))

    def note(self, changes: np.ndarray, now_ns: int) -> None:
        """Changes (d,) commanded at ``now_ns`` [ns, node clock]."""
        if np.any(changes[self._limited]):
            self._commanded.append((now_ns, changes))

    def forget(self) -> None:
        """After a jump of the clock: what is measured from now on contains all changes so far."""
        self._commanded = deque((_BEFORE, changes) for _, changes in self._commanded)
