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

    An arm that lags has not yet made all changes of before t0 either: those of the last ``lag_s``, and half as
    many again for an arm that comes ever closer, may still be to come. From outside (pushed there, or the box
    was drawn too small) only changes back towards it are permitted.

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
        """(d,) float64 each, the least and the greatest position now [unit]; 0 for dofs without workspace."""
        low, high = np.zeros(len(self._states)), np.zeros(len(self._states))
        if self.is_unlimited:
            return low, high
        stamps = [None if name is None else state.stamp_ns(name) for name in self._states]
        measured = [stamp for name, stamp in zip(self._states, stamps, strict=True) if name is not None]
        oldest = min(
            (_BEFORE if stamp is None else stamp - self._lag_ns for stamp in measured), default=_BEFORE
        )
        while self._commanded and self._commanded[0][0] < oldest:
            self._commanded.popleft()
        for index, (name, stamp) in enumerate(zip(self._states, stamps, strict=True)):
            if name is None:
                continue
            place = state.value(name)
            since = [d[index] for at, d in self._commanded if stamp is None or at >= stamp]
            late = [
                d[index]
                for at, d in self._commanded
                if stamp is not None and stamp - self._lag_ns <= at < stamp
            ]
            now = place + sum(since)
            low[index] = now + sum(change for change in late if change < 0)
            high[index] = now + sum(change for change in late if change > 0)
        return low, high

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
