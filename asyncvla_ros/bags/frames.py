"""A recording as frames to learn from: one per control step, as the policy would have seen it.

time     ──┬──────────┬──────────┬──       t_k = begin + k·step
images   ─●─────────●─────────●────         the newest ones of t_k
command  ──■──────────■──────────■─         what was done at t_k
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncvla_ros.bags.done import find_done
from asyncvla_ros.bags.frame_settings import FrameSettings
from asyncvla_ros.bags.instructions import Instructions
from asyncvla_ros.bags.observations import JUMP_NS, Observations, by_stamp
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.bags.robot_topics import find_robot, resolve
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.data.camera_message import decode_image
from asyncvla_ros.data.message_content import state_vector
from asyncvla_ros.data.robot_policy import observed
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import AsyncVLAError, ContractError, Observation

# So much later than others of its stamp a message may come [ns].
LATEST_NS = 2 * 10**9
NO_ACTION = "nothing was done"


@dataclass(frozen=True)
class RecordedFrame:
    """A control step; ``dropped`` says why it is none to learn from.

    Attributes:
        stamp_ns: t_k [ns].
        observation: With images as they came; None if it is dropped.
        action: (d,) float32 in the units of the checkpoint; None if it is dropped.
        dropped: The reason; empty: it is not.
    """

    stamp_ns: int
    observation: Observation | None = None
    action: np.ndarray | None = None
    dropped: str = ""


@dataclass(frozen=True)
class _Waiting:
    """A control step of which it is not known yet what was done."""

    stamp_ns: int
    snapshot: Snapshot[Any] | None
    problem: str


class RecordedFrames:
    """The frames of a recording, one after the other.

    Args:
        bag: The recording, open.
        robot: Of which it is.
        settings: Which frames.

    Raises:
        AsyncVLAError: topics, actions or instruction are missing.
    """

    def __init__(self, bag: BagReader, robot: RobotContract, settings: FrameSettings):
        self._bag, self._robot, self._settings = bag, robot, settings
        sources = observed(robot, [camera.key for camera in robot.cameras])
        self._topics = find_robot(bag.topics, sources, settings.namespace)
        namespace = self._topics.namespace
        self.target, self._done = find_done(settings.target, bag.topics_with_messages, robot, namespace)
        if self.target == "chunk":
            raise AsyncVLAError(
                "no command is recorded, and a chunk is no action that was done; see --target"
            )
        chunks = resolve("~/action_chunk", namespace, "policy")
        self._instructions = Instructions(bag, chunks, settings.instruction)
        limits = round(1e9 * settings.max_age_s), round(1e9 * settings.max_skew_s)
        self._observations = Observations(sources, self._topics.streams, robot.base_frame, *limits)
        self._waiting: deque[_Waiting] = deque()

    def __iter__(self) -> Iterator[RecordedFrame]:
        half_ns, begin_ns, count, newest_ns = self._robot.action_period_ns // 2, None, 0, 0
        topics = {*self._topics.streams, *self._done.topics}
        for stamp_ns, one in by_stamp(self._bag.messages(topics), LATEST_NS):
            if newest_ns and not -JUMP_NS < stamp_ns - newest_ns < JUMP_NS:
                # Time was set: what comes is another piece.
                yield from self._finish(None)
                yield RecordedFrame(stamp_ns, dropped="time jumped")
                self._observations.reset()
                self._done.forget(None)
                begin_ns, newest_ns = None, 0
            newest_ns = max(newest_ns, stamp_ns)
            while (
                begin_ns is not None and stamp_ns > begin_ns + count * self._robot.action_period_ns + half_ns
            ):
                self._look(begin_ns + count * self._robot.action_period_ns, half_ns)
                count += 1
            if one.topic in self._done.topics:
                self._done.feed(one)
            self._observations.feed(one, stamp_ns)
            if begin_ns is None and self._observations.take(again=True) is not None:
                begin_ns, count = stamp_ns, 0
            yield from self._finish(stamp_ns)
        if begin_ns is not None and newest_ns >= begin_ns + count * self._robot.action_period_ns:
            self._look(begin_ns + count * self._robot.action_period_ns, half_ns)
        yield from self._finish(None)

    def _look(self, at_ns: int, half_ns: int) -> None:
        """Take the newest observation of a control step: of its stamp, or up to half a step later."""
        self._observations.now_ns = at_ns + half_ns
        snapshot = self._observations.take(again=True)
        problem = "" if snapshot is not None else self._problem()
        self._waiting.append(_Waiting(at_ns, snapshot, problem))

    def _problem(self) -> str:
        problems = self._observations.problems()
        streams = ", ".join(sorted({problem.partition(":")[0] for problem in problems}))
        return f"no {streams}" if streams else "no observation"

    def _finish(self, now_ns: int | None) -> Iterator[RecordedFrame]:
        """Yield the frames of which it is known at ``now_ns`` [ns] what was done; None: all."""
        ahead_ns = self._done.ahead_ns + self._robot.action_period_ns
        while self._waiting and (now_ns is None or self._waiting[0].stamp_ns + ahead_ns <= now_ns):
            step = self._waiting.popleft()
            yield self._frame(step)
            self._done.forget(step.stamp_ns)

    def _frame(self, step: _Waiting) -> RecordedFrame:
        if step.snapshot is None:
            return RecordedFrame(step.stamp_ns, dropped=step.problem)
        reason = self._instructions.reason(step.stamp_ns, failures=self._settings.failures)
        if reason:
            return RecordedFrame(step.stamp_ns, dropped=reason)
        action = self._done.at(self._asked(step.stamp_ns))[0]
        if not np.isfinite(action).all():
            known = np.isfinite(action)
            missing = [
                name for name, is_known in zip(self._robot.dof_names, known, strict=True) if not is_known
            ]
            return RecordedFrame(
                step.stamp_ns, dropped=NO_ACTION + f" with {', '.join(missing)}" * bool(known.any())
            )
        try:
            observation = self._observation(step.snapshot, self._instructions.at(step.stamp_ns))
        except ContractError as error:
            return RecordedFrame(step.stamp_ns, dropped=str(error))
        return RecordedFrame(step.stamp_ns, observation, (action / self._robot.scale).astype(np.float32))

    def _asked(self, stamp_ns: int) -> StampedChunk:
        """Make a chunk of the one action that is due at ``stamp_ns`` [ns]."""
        robot = self._robot
        nothing = np.zeros((1, len(robot.dofs)), np.float32)
        return StampedChunk(
            0,
            0,
            stamp_ns,
            robot.action_period_ns,
            action_space=robot.action_space,
            dof_names=robot.dof_names,
            actions=nothing,
        )

    def _observation(self, snapshot: Snapshot[Any], instruction: str) -> Observation:
        images = {
            camera.key: decode_image(snapshot.values[camera.key], camera.key)
            for camera in self._robot.cameras
        }
        return Observation(images, state_vector(snapshot, self._robot), instruction, snapshot.stamp_ns)
