"""Commands and positions of the arm while something fails, for ``asyncvla bench faults``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from sensor_msgs.msg import JointState

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.data.message_content import to_ns

# A hold is one of the measured pose, and a restart begins there, within this [rad].
TOLERANCE = 1e-3
# Commands and joint states that are looked at, to tell motion (so far [rad]) from rest (at most so far).
MOVING, MOVED = 10, 0.01
STILL, UNMOVED = 30, 1e-4
# Older commands say nothing about now [ns].
RECENT_NS = 50_000_000


class Told(NamedTuple):
    """A command.

    Attributes:
        arrived_ns: [ns, system clock].
        source: ``ActionCommand.SOURCE_*``.
        positions: (d,) [rad].
        observed_ns: Stamp of its observation [ns].
        sent_ns: Its own stamp [ns].
    """

    arrived_ns: int
    source: int
    positions: np.ndarray
    observed_ns: int
    sent_ns: int = 0


class JointSample(NamedTuple):
    """Where the joints are: arrival [ns, system clock], (d,) positions [rad]."""

    arrived_ns: int
    positions: np.ndarray


@dataclass
class FaultRecord:
    """Record written by the observer's thread and read by the thread that makes things fail."""

    commands: list[Told] = field(default_factory=list)
    body: list[JointSample] = field(default_factory=list)
    statuses: list[tuple[int, Mode, Reason]] = field(default_factory=list)
    measured_ns: int = 0
    accepted: int = 0

    def forget(self) -> None:
        """Begin anew."""
        self.commands, self.body, self.statuses = [], [], []

    def note_command(self, message: ActionCommand, now_ns: int) -> None:
        """Keep a command that reached the arm."""
        positions, observed_ns = np.asarray(message.action, float), to_ns(message.observation_stamp)
        sent_ns = to_ns(message.header.stamp)
        self.commands.append(Told(now_ns, message.source, positions, observed_ns, sent_ns=sent_ns))

    def note_body(self, message: JointState, now_ns: int) -> None:
        """Keep the joint positions."""
        self.body.append(JointSample(now_ns, np.asarray(message.position, float)))

    def note_measured(self, message: JointState, now_ns: int) -> None:
        """Keep the stamp [ns, node clock] of the newest joint state that the nodes can have."""
        self.measured_ns = to_ns(message.header.stamp)

    def note_status(self, message: ControllerStatus, now_ns: int) -> None:
        """Keep mode, reason and the number of accepted chunks."""
        self.statuses.append((now_ns, Mode(message.mode), Reason(message.reason_code)))
        self.accepted = message.accepted_chunks

    def is_moving(self) -> bool:
        """Return whether the newest commands come from chunks and move the arm."""
        newest = self.commands[-MOVING:]
        if len(newest) < MOVING or time.time_ns() - newest[-1].arrived_ns > RECENT_NS:
            return False
        all_tracked = all(told.source == ActionCommand.SOURCE_CHUNK for told in newest)
        return all_tracked and _distance(newest[0].positions, newest[-1].positions) > MOVED

    def is_still(self) -> bool:
        """Return whether the joints stand still."""
        return _is_constant([seen.positions for seen in self.body[-STILL:]])

    def is_held(self) -> bool:
        """Return whether arm and commands stand still at one pose."""
        held = [told.positions for told in self.commands[-STILL:] if told.source == ActionCommand.SOURCE_HOLD]
        return self.is_still() and _is_constant(held) and self.pose_error() <= TOLERANCE

    def pose_error(self) -> float:
        """Return the largest distance of the newest command from the arm's position [rad]."""
        return _distance(self.commands[-1].positions, self.body[-1].positions)

    def tracked_ns(self, after_ns: int) -> int | None:
        """Return the arrival of the first command from a chunk [ns]; None: none came."""
        return _first(told.arrived_ns for told in self.commands if is_tracked(told, after_ns))

    def goes_on(self, held_ns: int) -> bool:
        """Return whether a command from a chunk was sent after the hold noticed at ``held_ns`` [ns].

        One that was sent before, and only was longer on its way, does not count.
        """
        holds = (told.sent_ns for told in self.commands if _is_hold(told, held_ns))
        hold_sent_ns = _first(holds)
        late = [told.sent_ns for told in self.commands if is_tracked(told, held_ns)]
        return any(hold_sent_ns is None or sent_ns > hold_sent_ns for sent_ns in late)

    def held_ns(self, after_ns: int) -> int | None:
        """Return the arrival of the first hold, command or status [ns]; None: none came."""
        commanded = _first(told.arrived_ns for told in self.commands if _is_hold(told, after_ns))
        said = _first(at_ns for at_ns, mode, _ in self.statuses if mode is Mode.HOLDING and at_ns >= after_ns)
        return min((at_ns for at_ns in (commanded, said) if at_ns is not None), default=None)

    def held_ms(self, fault_ns: int) -> float | None:
        """Return the time from a fault to the first hold [ms]; None: none came."""
        held_ns = self.held_ns(fault_ns)
        return None if held_ns is None else (held_ns - fault_ns) / 1e6

    def reasons(self, after_ns: int, mode: Mode = Mode.HOLDING) -> set[Reason]:
        """Return the reasons given for a mode."""
        return {reason for at_ns, found, reason in self.statuses if found is mode and at_ns >= after_ns}

    def entered_ns(self, mode: Mode, after_ns: int) -> int | None:
        """Return the arrival of the first status with a mode [ns]; None: none came."""
        return _first(at_ns for at_ns, found, _ in self.statuses if found is mode and at_ns >= after_ns)

    def standstill_ns(self, after_ns: int) -> int:
        """Return the arrival of the last joint state that moved [ns]; ``after_ns`` without one."""
        moves = (
            after.arrived_ns
            for before, after in pairwise(self.body)
            if after.arrived_ns >= after_ns and _distance(before.positions, after.positions) > UNMOVED
        )
        return max(moves, default=after_ns)

    def largest_steps(self) -> np.ndarray:
        """Return the (d,) largest step of each dof from one command to the next [rad]."""
        positions = np.array([told.positions for told in self.commands])
        return np.abs(np.diff(positions, axis=0)).max(axis=0)


def is_tracked(told: Told, after_ns: int) -> bool:
    """Return whether a command comes from a chunk and arrived at ``after_ns`` [ns] or later."""
    return told.source == ActionCommand.SOURCE_CHUNK and told.arrived_ns >= after_ns


def _is_hold(told: Told, after_ns: int) -> bool:
    return told.source == ActionCommand.SOURCE_HOLD and told.arrived_ns >= after_ns


def _first(times_ns: Iterable[int]) -> int | None:
    return next(iter(times_ns), None)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def _is_constant(poses: list[np.ndarray]) -> bool:
    return len(poses) == STILL and float(np.ptp(np.array(poses), axis=0).max()) <= UNMOVED
