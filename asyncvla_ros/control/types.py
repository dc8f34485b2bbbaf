"""Answers of the controller: a command, and its mode with the reason."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.motion import Path


class Mode(enum.IntEnum):
    """State of the controller; values as in asyncvla_msgs/ControllerStatus."""

    IDLE = 0
    TRACKING = 1
    HOLDING = 2
    FAULT = 3
    ESTOP = 4


class Reason(enum.IntEnum):
    """Reason for the mode; values as in asyncvla_msgs/ControllerStatus."""

    NONE = 0
    INACTIVE = 1
    NO_CHUNK = 2
    UNDERRUN = 3
    CHUNK_STALE = 4
    OBSERVATION_STALE = 5
    CHUNK_REJECTED = 6
    CLOCK_JUMP = 7
    ESTOP = 8
    INTERNAL_ERROR = 9
    OUTSIDE_LIMITS = 10
    FOLLOWING_ERROR = 11
    DRIVER_NOT_READY = 12
    NOT_ENABLED = 13
    NOT_HEARD = 14
    TAKEOVER = 15
    TASK_ENDED = 16


@dataclass(frozen=True)
class Verdict:
    """A mode with its reason and a message for a person."""

    mode: Mode
    reason: Reason
    text: str


@dataclass(frozen=True)
class Command:
    """The outcome of one update.

    Attributes:
        values: (d,) within the limits, physical units, NaN for dofs without a command; None: send nothing.
        float64 if anything is tracked, else float32.
        action: The action behind the values; None for a hold.
        stamp_ns: Start of the command's control step [ns, node clock].
        at_ns: Time of the command [ns, steady].
        paths: One per dof: its motion from ``at_ns`` to rest if its driver follows trajectories, else None.
    """

    values: np.ndarray | None
    action: ScheduledAction | None
    stamp_ns: int
    at_ns: int = 0
    paths: tuple[Path | None, ...] = ()


@dataclass(frozen=True)
class Status:
    """Mode and reason, the newest chunk, and counts since activation.

    Attributes:
        problem: Problem of the robot's state; empty without one.
        silent: State topics without any message.
        chunk_age_s: NaN without a chunk.
    """

    mode: Mode
    reason: Reason
    text: str
    chunk_id: int
    chunk_age_s: float
    actions_left: int
    accepted: int
    rejected: int
    expired: int
    underruns: int
    last_rejection: str
    clamped: np.ndarray
    limit_stops: int
    problem: str = ""
    silent: tuple[str, ...] = ()
