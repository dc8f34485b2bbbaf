"""Checks before the arm: chunks are accepted or rejected whole, single commands are clamped."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.robot.contract import Dof, RobotContract

# Tolerated difference of a control step: more than rounding means another rate.
STEP_TOLERANCE = 0.01


class RejectReason(enum.Enum):
    """Reason for rejecting a chunk."""

    WRONG_ACTION_SPACE = "wrong action space"
    WRONG_NAMES = "wrong names"
    WRONG_SHAPE = "wrong shape"
    WRONG_STEP = "wrong step"
    NON_FINITE = "non-finite values"
    OUT_OF_SEQUENCE = "out of sequence"
    STALE = "stale"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "from the future"


@dataclass(frozen=True)
class Rejection:
    """The reason for rejecting a chunk, with a message for a person."""

    reason: RejectReason
    text: str

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.text}"


def check_chunk(chunk: StampedChunk, robot: RobotContract, now_ns: int) -> Rejection | None:
    """Return why a chunk must not be executed at ``now_ns`` [ns, node clock]; None if it may.

    A chunk without actions, the end of a task, is never too late or malformed. ``ActionSchedule.merge``
    checks whether a chunk is newer than the last one.
    """
    if chunk.is_end:
        return None
    return check_content(chunk, robot) or _check_time(chunk, robot, now_ns)


def check_content(chunk: StampedChunk, robot: RobotContract) -> Rejection | None:
    """Return why a chunk does not fit this robot at any time; None if it does."""
    return None if chunk.is_end else _check_form(chunk, robot) or _check_values(chunk)


def _check_form(chunk: StampedChunk, robot: RobotContract) -> Rejection | None:
    if chunk.action_space != robot.action_space:
        return Rejection(
            RejectReason.WRONG_ACTION_SPACE, f"expected {robot.action_space}, found {chunk.action_space!r}"
        )
    if chunk.dof_names != robot.dof_names:
        return Rejection(
            RejectReason.WRONG_NAMES,
            f"expected {', '.join(robot.dof_names)}; found {', '.join(chunk.dof_names) or 'none'}",
        )
    shape = chunk.actions.shape
    if len(shape) != 2 or shape[0] < 1 or shape[1] != len(robot.dofs):
        return Rejection(
            RejectReason.WRONG_SHAPE,
            f"expected actions of shape (1 or more, {len(robot.dofs)}), found {shape}",
        )
    for name, extra in (("confidence", chunk.confidence), ("refined", chunk.refined)):
        if extra is not None and extra.shape != shape[:1]:
            return Rejection(
                RejectReason.WRONG_SHAPE, f"expected {name} of shape {shape[:1]}, found {extra.shape}"
            )
    if abs(chunk.action_period_ns - robot.action_period_ns) > STEP_TOLERANCE * robot.action_period_ns:
        return Rejection(
            RejectReason.WRONG_STEP,
            f"expected {robot.action_period_ns / 1e9:g} s, found {chunk.action_period_ns / 1e9:g} s",
        )
    return None


def _check_values(chunk: StampedChunk) -> Rejection | None:
    bad = np.argwhere(~np.isfinite(chunk.actions))
    if len(bad):
        row, column = bad[0]
        name, value = chunk.dof_names[column], chunk.actions[row, column]
        return Rejection(RejectReason.NON_FINITE, f"{len(bad)} values, first {name} = {value} at index {row}")
    if chunk.confidence is not None and not np.all((chunk.confidence >= 0) & (chunk.confidence <= 1)):
        return Rejection(RejectReason.NON_FINITE, f"expected confidence in [0, 1], found {chunk.confidence}")
    return None


def _check_time(chunk: StampedChunk, robot: RobotContract, now_ns: int) -> Rejection | None:
    age_s = (now_ns - chunk.stamp_ns) / 1e9
    if age_s > robot.chunk_timeout_s:
        return Rejection(RejectReason.STALE, f"observed {age_s:.3f} s ago, limit {robot.chunk_timeout_s:g} s")
    if abs(chunk.offset_ns) > robot.action_period_ns / 2:
        return Rejection(
            RejectReason.WRONG_STEP,
            f"begins {chunk.offset_ns / 1e9:g} s after its observation, expected at most half a control step "
            f"({robot.action_period_ns / 2e9:g} s) before or after it",
        )
    if chunk.index_at(now_ns) >= len(chunk.actions):
        span_s = len(chunk.actions) * chunk.action_period_ns / 1e9
        return Rejection(
            RejectReason.EXPIRED, f"observed {age_s:.3f} s ago, but it spans {span_s:.3f} s: no action left"
        )
    if -age_s > robot.action_period_ns / 1e9:
        return Rejection(
            RejectReason.FROM_THE_FUTURE,
            f"stamped {-age_s:.3f} s ahead, limit one control step ({robot.action_period_ns / 1e9:g} s); "
            "do the clocks of policy and controller agree?",
        )
    return None


class Limiter:
    """Clamp commands to the contract's limits and count how often.

    Args:
        dofs: The action dims in order.
    """

    def __init__(self, dofs: Sequence[Dof]):
        # In float32 like the actions, so that a full-scale action is not "outside" by rounding.
        self._minimum = np.array([dof.minimum for dof in dofs], np.float32)
        self._maximum = np.array([dof.maximum for dof in dofs], np.float32)
        self._counts = np.zeros(len(dofs), np.int64)

    def clamp(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest permitted command.

        Args:
            values: (d,) finite, physical units.

        Returns:
            (d,) float32 within the limits.
        """
        clamped = np.clip(values.astype(np.float32), self._minimum, self._maximum)
        self._counts += clamped != values
        return clamped

    @property
    def counts(self) -> np.ndarray:
        """(d,) int64 count of clamped commands per dof."""
        return self._counts.copy()
