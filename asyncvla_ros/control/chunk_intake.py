"""Acceptance of chunks: check, schedule, and the reason when nothing is executable."""

from __future__ import annotations

import math

from asyncvla_ros.control.action_schedule import ActionSchedule
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.safety import Rejection, RejectReason, check_chunk
from asyncvla_ros.control.types import Reason
from asyncvla_ros.robot.contract import RobotContract


class ChunkIntake:
    """Check chunks and schedule those that pass.

    Args:
        robot: What a chunk must fit, and how old it may be.
        n_action_steps: Leading actions of each chunk to execute, 0: all.

    Attributes:
        schedule: Actions of all accepted chunks.
        accepted: Number of accepted chunks.
        rejected: Number of rejected chunks.
        last_rejection: Reason of the last rejection.
        is_rejected: Whether the newest chunk was rejected.
    """

    def __init__(self, robot: RobotContract, n_action_steps: int):
        self._robot = robot
        self.schedule = ActionSchedule(n_action_steps)
        self.accepted = self.rejected = 0
        self.last_rejection = ""
        self.is_rejected = False

    def accept(self, chunk: StampedChunk, now_ns: int) -> Rejection | None:
        """Check a chunk and schedule it; return the rejection if it must not be executed."""
        rejection = check_chunk(chunk, self._robot, now_ns)
        if rejection is None and not self.schedule.merge(chunk):
            newest = self.schedule.newest
            known = "an earlier one" if newest is None else f"chunk {newest.chunk_id} at {newest.stamp_ns} ns"
            rejection = Rejection(
                RejectReason.OUT_OF_SEQUENCE,
                f"chunk {chunk.chunk_id} at {chunk.stamp_ns} ns is not newer than {known}",
            )
        self.is_rejected = rejection is not None
        if rejection is None:
            self.accepted += 1
        else:
            self.rejected += 1
            self.last_rejection = str(rejection)
        return rejection

    def age_s(self, now_ns: int) -> float:
        """Return the age of the newest chunk's observation [s]; NaN without a chunk."""
        newest = self.schedule.newest
        return math.nan if newest is None else (now_ns - newest.stamp_ns) / 1e9

    def is_stale(self, now_ns: int) -> bool:
        """Return whether the newest chunk is too old to execute."""
        return self.age_s(now_ns) > self._robot.chunk_timeout_s

    def exhausted(self, now_ns: int) -> tuple[Reason, str]:
        """Return why no action is executable at ``now_ns`` [ns, node clock], with or without a chunk."""
        if self.is_rejected:
            return Reason.CHUNK_REJECTED, f"the last chunk was rejected: {self.last_rejection}"
        newest, age_s = self.schedule.newest, self.age_s(now_ns)
        assert newest is not None
        if self.is_stale(now_ns):
            limit = f"limit {self._robot.chunk_timeout_s:g} s; is the policy running?"
            return Reason.CHUNK_STALE, f"chunk {newest.chunk_id} was observed {age_s:.2f} s ago, {limit}"
        return (
            Reason.UNDERRUN,
            f"all actions of chunk {newest.chunk_id} are executed, observed {age_s:.2f} s ago",
        )
