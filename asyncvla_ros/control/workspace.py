"""Keeps changes per step from leading out of the workspace."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.robot.contract import Dof

# Earlier than any stamp.
_BEFORE = -1


class Workspace:
    """Where the dofs that are changes are, and how far they may still go.

    ::

        measured at t0 ──+ changes commanded since t0──> position now ──+ next change──> must be inside

    From outside (pushed there, or the box was drawn too small) only changes back towards it are permitted.

    Args:
        dofs: The action dims in order; those with a ``workspace`` are limited.
    """

    def __init__(self, dofs: Sequence[Dof]):
        spaces = [dof.workspace for dof in dofs]
        self._states = [None if space is None else space.state for space in spaces]
        self._minimum = np.array([-np.inf if space is None else space.minimum for space in spaces])
        self._maximum = np.array([np.inf if space is None else space.maximum for space in spaces])
        self._limited = [name is not None for name in self._states]
        self._pending: deque[tuple[int, np.ndarray]] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether no dof is limited."""
        return not any(self._states)

    def positions(self, state: RobotState) -> np.ndarray:
        """(d,) float64 positions now [unit]; 0 for dofs without workspace."""
        positions = np.zeros(len(self._states))
        stamps = [None if name is None else state.stamp_ns(name) for name in self._states]
        measured = [stamp for name, stamp in zip(self._states, stamps, strict=True) if name is not None]
        oldest = min((_BEFORE if stamp is None else stamp for stamp in measured), default=_BEFORE)
        while self._pending and self._pending[0][0] < oldest:
            self._pending.popleft()
        for index, (name, stamp) in enumerate(zip(self._states, stamps, strict=True)):
            if name is not None:
                since = [d[index] for at, d in self._pending if stamp is None or at >= stamp]
                positions[index] = state.value(name) + sum(since)
        return positions

    def clamp(self, changes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """The nearest changes (d,) that do not lead out, from ``positions`` (d,)."""
        low = np.minimum(self._minimum, positions) - positions
        high = np.maximum(self._maximum, positions) - positions
        return np.clip(changes, low, high)

    def note(self, changes: np.ndarray, now_ns: int) -> None:
        """Changes (d,) commanded at ``now_ns`` [ns, node clock]."""
        if np.any(changes[self._limited]):
            self._pending.append((now_ns, changes))

    def forget(self) -> None:
        """After a jump of the clock: what is measured from now on contains all changes so far."""
        self._pending = deque((_BEFORE, changes) for _, changes in self._pending)
