"""The last command, and the command that stands still after it."""

from __future__ import annotations

import math

import numpy as np

from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.robot.contract import RobotContract


class LastCommand:
    """Keep the newest command, and the one before it in case the newest is not sent.

    Args:
        robot: Its action dims.

    Attributes:
        values: (d,) [unit]; None before the first one.
        at_ns: Time of the newest command [ns, steady].
    """

    def __init__(self, robot: RobotContract):
        self._dofs = robot.dofs
        self._is_delta = np.array([dof.is_delta for dof in robot.dofs])
        self.values: np.ndarray | None = None
        self.at_ns = 0
        self._before: tuple[np.ndarray | None, int] = (None, 0)

    def note(self, values: np.ndarray, at_ns: int) -> None:
        """Note a command (d,) [unit] of ``at_ns`` [ns, steady]."""
        self._before = self.values, self.at_ns
        self.values, self.at_ns = values, at_ns

    def take_back(self) -> None:
        """Drop the newest command, which was not sent."""
        self.values, self.at_ns = self._before

    def forget(self) -> None:
        """Forget the command."""
        self.values = None

    @property
    def positions(self) -> np.ndarray:
        """(d,) commanded positions of absolute dofs [unit]; NaN for deltas and before the first command."""
        if self.values is None:
            return np.full(len(self._dofs), np.nan)
        return np.where(self._is_delta, np.nan, self.values.astype(np.float64))

    def standing(self, state: RobotState) -> np.ndarray:
        """Return the command (d,) float32 that stands still [unit].

        It is 0 for deltas, the last command of an absolute dof, else the measured value.
        """
        values = np.zeros(len(self._dofs), np.float32)
        for index, dof in enumerate(self._dofs):
            if dof.is_delta:
                continue
            value = state.value(dof.name) if self.values is None else self.values[index]
            if math.isnan(value):
                value = state.value(dof.name)
            values[index] = np.clip(value, dof.minimum, dof.maximum)
        return values
