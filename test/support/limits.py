"""What a driver that holds each command makes of them, against the limits of a contract, in true time."""

from __future__ import annotations

import math

import numpy as np

from asyncvla_ros.robot.contract import RobotContract

TOLERANCE = 1e-5
# Without a command for so many periods the arm has come to the last one and stands there.
GAP_PERIODS = 2


class HoldingDriver:
    """Judges each command by divided differences over the last four.

    Args:
        robot: Its tracked targets and changes are checked.
        standing: (d,) where the arm stands [unit]; NaN where that is unknown.

    Attributes:
        is_emergency: Whether acceleration and jerk of an emergency stop are permitted.
        breaks: What commands broke, in words.
    """

    def __init__(self, robot: RobotContract, standing: np.ndarray):
        self._robot, self._period_s = robot, robot.command_period_ns / 1e9
        self._is_delta = np.array([dof.is_delta for dof in robot.dofs])
        self._limits = {is_stop: _limits(robot, is_stop=is_stop) for is_stop in (False, True)}
        self.is_emergency = False
        self.breaks: list[str] = []
        self.stand(standing)

    def stand(self, pose: np.ndarray) -> None:
        """Set the arm to (d,) ``pose`` [unit], whatever was commanded before."""
        self._times: np.ndarray = np.full(4, -math.inf)
        self._rows = np.tile(np.where(self._is_delta, 0.0, pose), (4, 1))

    def hear(self, at_ns: int, values: np.ndarray) -> None:
        """Take a command (d,) [unit] at ``at_ns`` [ns]; NaN: that dof is not commanded."""
        at_s = at_ns / 1e9
        if at_s - self._times[-1] > GAP_PERIODS * self._period_s + 1e-9:
            self._times = at_s - self._period_s * np.arange(4, 0, -1)
            self._rows[:] = np.where(self._is_delta, 0.0, self._rows[-1])
        row = np.where(np.isnan(values), self._rows[-1], values)
        # Before its first command an unmeasured gripper stood where that sends it.
        known = np.where(np.isnan(self._rows[1:]), row, self._rows[1:])
        self._times, self._rows = np.append(self._times[1:], at_s), np.vstack([known, row])
        self._judge(values)

    def _judge(self, said: np.ndarray) -> None:
        inside = [
            dof.is_delta or math.isnan(value) or dof.minimum - 1e-6 <= value <= dof.maximum + 1e-6
            for dof, value in zip(self._robot.dofs, said.tolist(), strict=True)
        ]
        self._note(0, self._rows[-1], ~np.array(inside))
        # What a change makes is a velocity already.
        targets, changes = self._rows, self._rows / self._period_s
        limits = self._limits[self.is_emergency]
        for order in (1, 2, 3):
            targets = order * np.diff(targets, axis=0) / (self._times[order:] - self._times[:-order])[:, None]
            if order > 1:
                steps = (self._times[order - 1 :] - self._times[: 1 - order])[:, None]
                changes = (order - 1) * np.diff(changes, axis=0) / steps
            found = np.where(self._is_delta, changes[-1], targets[-1])
            self._note(order, found, np.abs(found) > limits[order - 1] * (1 + TOLERANCE) + TOLERANCE)

    def _note(self, order: int, found: np.ndarray, is_broken: np.ndarray) -> None:
        for index in np.flatnonzero(is_broken):
            name, at_s = self._robot.dofs[index].name, self._times[-1]
            self.breaks.append(f"{name}: derivative {order} is {found[index]:.6g} at {at_s:.3f} s")


def _limits(robot: RobotContract, *, is_stop: bool) -> np.ndarray:
    """(3, d) of velocity, acceleration and jerk; without one, infinite."""
    rows = []
    for dof in robot.dofs:
        acceleration = (dof.stop_acceleration if is_stop else None) or dof.acceleration
        jerk = (dof.stop_jerk if is_stop else None) or dof.jerk
        rows.append([limit or math.inf for limit in (dof.velocity, acceleration, jerk)])
    return np.array(rows).T
