"""The limits of what one output says, as arrays, and how exactly they can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.robot.contract import Dof, Output, RobotContract

# Stamps are whole nanoseconds [s].
STAMP_S = 1e-9
# Roundings of the size of float64's epsilon between a limit and a number that keeps it: a polynomial of
# degree 5 and the conversion to joints have some 20 operations, each off by half an epsilon; twice that.
ROUNDINGS = 20
EPSILON = float(np.finfo(np.float64).eps)
# A float32 field is off by half of its epsilon.
HALF_EPSILON_32 = float(np.finfo(np.float32).eps) / 2


@dataclass(frozen=True)
class Limits:
    """Of the ``n`` numbers of a message, in units of the joints; infinite where there is none.

    Attributes:
        scale: (n,) factor from the message's numbers to what is limited: deltas per step become rates.
        is_rate: (n,) bool, whether the number is a velocity, not a position.
        minimum: (n,) [unit, or unit/s of a rate].
        maximum: (n,) likewise.
        derivatives: (3, n) velocity [unit/s], acceleration [unit/s²] and jerk [unit/s³].
        stops: (3, n) likewise, during an emergency stop.
        turn: Speed of rotation [rad/s] of the matrix that ``columns`` are of.
        columns: Indices of the six numbers that are two columns of a rotation matrix; else empty.
    """

    scale: np.ndarray
    is_rate: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    derivatives: np.ndarray
    stops: np.ndarray
    turn: float
    columns: np.ndarray

    def uncertainty(self, *, is_float32: bool) -> tuple[np.ndarray, np.ndarray]:
        """Bound how far a number that keeps every limit may be off.

        A number x that stands for another time t, rounded to whole nanoseconds, is off by |dx/dt| times 1 ns:
        a position by the velocity limit, a rate by the acceleration limit times 1 ns. Besides it is rounded.

        Returns:
            (n,) in value alone, and (n,) with what the stamp's rounding adds to differences.
        """
        size = np.maximum(np.abs(self.minimum), np.abs(self.maximum))
        relative = ROUNDINGS * EPSILON + (HALF_EPSILON_32 if is_float32 else 0.0)
        change = np.where(self.is_rate, self.derivatives[1], self.derivatives[0])
        # Without a limit of its change nothing is said of its differences either.
        return relative * size, relative * size + STAMP_S * np.where(np.isfinite(change), change, 0.0)


def limits_of(robot: RobotContract, output: Output) -> Limits:
    """Return the limits of what ``output`` says to its joints.

    A dof with ``travel`` moves its joint by gain = Δtravel / Δdof. Changes per control step, of which twist
    and forward_velocity already make rates, are rates. Of a rotation matrix only the speed of rotation is
    limited: to the largest velocity limit of its entries.
    """
    dofs = [robot.dofs[robot.dof_names.index(name)] for name in output.dofs]
    step_s = robot.action_period_ns / 1e9
    is_rate = np.array([dof.is_delta for dof in dofs])
    low, high = np.array([[dof.minimum, dof.maximum] for dof in dofs]).T
    gain = np.ones(len(dofs))
    if output.travel is not None:
        gain = np.abs((output.travel[1] - output.travel[0]) / (high - low))
        low, high = (np.full(len(dofs), end) for end in sorted(output.travel))
    low, high = np.where(is_rate, low / step_s, low), np.where(is_rate, high / step_s, high)
    derivatives = gain * _limits(dofs, ("velocity", "acceleration", "jerk"))
    stops = gain * _limits(dofs, ("velocity", "stop_acceleration", "stop_jerk"))
    # None: as ever; and what is permitted else is permitted during a stop.
    stops = np.maximum(derivatives, np.where(np.isfinite(stops), stops, 0.0))
    columns = _rotation_columns(robot, output)
    turn = float(np.max(derivatives[0, columns])) if len(columns) else np.inf
    derivatives[:, columns] = stops[:, columns] = np.inf
    says_changes = output.adapter == "action_command"
    scale = np.where(is_rate & says_changes, 1 / step_s, 1.0)
    return Limits(scale, is_rate, low, high, derivatives=derivatives, stops=stops, turn=turn, columns=columns)


def _limits(dofs: Sequence[Dof], names: Sequence[str]) -> np.ndarray:
    values = [[getattr(dof, name) for dof in dofs] for name in names]
    return np.array([[np.inf if value is None else value for value in row] for row in values])


def _rotation_columns(robot: RobotContract, output: Output) -> np.ndarray:
    """Return the columns of ``output`` that hold the last six numbers of the contract's pose output."""
    for pose in robot.outputs if output.adapter == "action_command" else (output,):
        if pose.adapter == "pose":
            return np.array([output.dofs.index(name) for name in pose.dofs[3:]])
    return np.empty(0, np.int64)
