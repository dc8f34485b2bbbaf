"""Which chunks are taken, what is due of them, and why there is nothing to execute."""

from __future__ import annotations

import math

from asyncvla_ros.control.action_schedule import ActionSchedule
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.safety import Rejection, RejectReason, check_chunk
from asyncvla_ros.control.types import Reason
from asyncvla_ros.robot.contract import RobotContract


class ChunkIntake:
    """Checks chunks, and schedules those that pass.

    Args:
        robot: What a chunk must fit, and how old it may be.
        execute_steps: Leading actions of each chunk to execute, 0: all.

    Attributes:
        schedule: Of the actions of all chunks that were taken.
        accepted: How many were taken.
        rejected: How many were not.
        last_rejection: Why the last of those was not.
        is_rejected: Whether the newest chunk was not.
    """

    def __init__(self, robot: RobotContract, execute_steps: int):
        self._robot = robot
        self.schedule = ActionSchedule(execute_steps)
        self.accepted = self.rejected = 0
        self.last_rejection = ""
        self.is_rejected = False

    def accept(self, chunk: StampedChunk, now_ns: int) -> Rejection | None:
        """Checks a chunk and adds it to the schedule; the rejection if it may not be executed."""
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
        """How long ago the newest chunk was observed [s]; NaN without one."""
        newest = self.schedule.newest
        return math.nan if newest is None else (now_ns - newest.stamp_ns) / 1e9

    def is_stale(self, now_ns: int) -> bool:
        """Whether the newest chunk is too old for anything of it."""
        return self.age_s(now_ns) > self._robot.chunk_timeout_s

    def exhausted(self, now_ns: int) -> tuple[Reason, str]:
        """Why there is nothing to execute at ``now_ns`` [ns, node clock], although there may be a chunk."""
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
