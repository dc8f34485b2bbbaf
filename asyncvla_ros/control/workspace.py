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

    An arm that lags has not yet made the changes of before t0 either: where all that was commanded leads is
    kept as well, within what the arm may lag behind, and the farther of the two counts. From outside (pushed
    there, or the box was drawn too small) only changes back towards it are permitted.

    Args:
        robot: Its action dims; those with a ``workspace`` are limited.
    """

    def __init__(self, robot: RobotContract):
        spaces = [dof.workspace for dof in robot.dofs]
        self._states = [None if space is None else space.state for space in spaces]
        self._minimum = np.array([-np.inf if space is None else space.minimum for space in spaces])
        self._maximum = np.array([np.inf if space is None else space.maximum for space in spaces])
        self._limited = [name is not None for name in self._states]
        self._pending: deque[tuple[int, np.ndarray]] = deque()
        step_s = robot.step_ns / 1e9
        speeds = [dof.velocity or max(-dof.minimum, dof.maximum) / step_s for dof in robot.dofs]
        self._reach = robot.lag_s * np.array(speeds)
        self._led_to: np.ndarray | None = None

    @property
    def is_unlimited(self) -> bool:
        """Whether no dof is limited."""
        return not any(self._states)

    def positions(self, state: RobotState) -> tuple[np.ndarray, np.ndarray]:
        """(d,) float64 each, the least and the greatest position now [unit]; 0 for dofs without workspace."""
        positions = np.zeros(len(self._states))
        if self.is_unlimited:
            return positions, positions
        stamps = [None if name is None else state.stamp_ns(name) for name in self._states]
        measured = [stamp for name, stamp in zip(self._states, stamps, strict=True) if name is not None]
        oldest = min((_BEFORE if stamp is None else stamp for stamp in measured), default=_BEFORE)
        while self._pending and self._pending[0][0] < oldest:
            self._pending.popleft()
        for index, (name, stamp) in enumerate(zip(self._states, stamps, strict=True)):
            if name is not None:
                since = [d[index] for at, d in self._pending if stamp is None or at >= stamp]
                positions[index] = state.value(name) + sum(since)
        led_to = positions if self._led_to is None else self._led_to
        self._led_to = np.clip(led_to, positions - self._reach, positions + self._reach)
        return np.minimum(positions, self._led_to), np.maximum(positions, self._led_to)

    def clamp(self, changes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The nearest changes (d,) that do not lead out, from anywhere between ``low`` and ``high`` (d,)."""
        least = np.minimum(self._minimum, low) - low
        most = np.maximum(self._maximum, high) - high
        return np.clip(changes, np.minimum(least, 0.0), np.maximum(most, 0.0))

    def note(self, changes: np.ndarray, now_ns: int) -> None:
        """Changes (d,) commanded at ``now_ns`` [ns, node clock]."""
        if np.any(changes[self._limited]):
            self._pending.append((now_ns, changes))
            if self._led_to is not None:
                self._led_to = self._led_to + changes

    def forget(self) -> None:
        """After a jump of the clock: what is measured from now on contains all changes so far."""
        self._pending = deque((_BEFORE, changes) for _, changes in self._pending)
