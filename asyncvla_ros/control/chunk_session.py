"""The chunks of one activation of a policy, with their numbers and stamps."""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.plan_memory import PlanMemory
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import ActionChunk, Previous


class ChunkSession:
    """Turn answers in the checkpoint's units into numbered chunks in the robot's units.

    Not thread-safe.

    Args:
        robot: Names, units and step of the actions.
    """

    def __init__(self, robot: RobotContract):
        self._robot = robot
        self._session_id = secrets.randbits(32)
        self._chunk_id = 0
        self._newest: StampedChunk | None = None
        self._plans = PlanMemory(robot.action_period_ns)

    def chunk(self, answer: ActionChunk, stamp_ns: int, now_ns: int, instruction: str) -> StampedChunk:
        """Make the next chunk.

        Args:
            answer: Actions in the units of the checkpoint.
            stamp_ns: Acquisition time of the observation [ns, node clock].
            now_ns: [ns, node clock].
            instruction: What the chunk follows.
        """
        # Not the chunk that is sent: in units of the checkpoint kept actions stay the same bits.
        begin_ns = self._plans.note(
            stamp_ns, now_ns, answer.actions, answer.draft, continues=answer.continues
        )
        self._newest = replace(
            self._next(stamp_ns, answer.actions * self._robot.scale, instruction),
            confidence=answer.confidence,
            refined=answer.refined,
            n_frozen=answer.n_frozen,
            offset_ns=begin_ns - stamp_ns,
        )
        return self._newest

    def end(self, now_ns: int) -> StampedChunk:
        """Make the chunk without actions that ends the motion, stamped ``now_ns`` [ns, node clock]."""
        newest, self._newest = self._newest, None
        self._plans.forget()
        nothing = np.zeros((0, len(self._robot.dofs)), np.float32)
        if newest is None:
            return self._next(now_ns, nothing, "")
        return self._next(max(now_ns, newest.stamp_ns), nothing, newest.instruction)

    def previous(self, stamp_ns: int) -> Previous | None:
        """Return the plan of older chunks from an observation of ``stamp_ns`` on; None if they have ended.

        The delay of the answer is predicted as the largest of the last ten on the node clock: none in
        lockstep, where that clock stands still.

        Args:
            stamp_ns: Acquisition time of the observation [ns, node clock].
        """
        return self._plans.previous(stamp_ns)

    def forget_times(self) -> None:
        """Forget the stamps of chunks after a backward jump of the clock."""
        self._newest = None
        self._plans.forget()

    def _next(self, stamp_ns: int, actions: np.ndarray, instruction: str) -> StampedChunk:
        self._chunk_id += 1
        return StampedChunk(
            session_id=self._session_id,
            chunk_id=self._chunk_id,
            stamp_ns=stamp_ns,
            action_period_ns=self._robot.action_period_ns,
            action_space=self._robot.action_space,
            dof_names=self._robot.dof_names,
            actions=actions,
            instruction=instruction,
        )
