"""Publishes the chunks of a policy: numbers, stamps, and the plan that they make together."""

from __future__ import annotations

import threading
from dataclasses import replace

from asyncvla_msgs.msg import ActionChunk
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.chunk_session import ChunkSession
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import chunk_to_message
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.types import ActionChunk as Answer
from asyncvla_ros.types import Previous


class ChunkPublisher:
    """Publishes chunks on ``~/action_chunk``, and remembers what older ones would still execute.

    Threads: any may call it. The inference thread asks and publishes, the thread that ends a motion publishes
    its end, and the executor's thread restarts it and reports jumps of the clock.

    Args:
        node: Owner of the topic.
        robot: Names, units and step of the actions.
    """

    def __init__(self, node: ManagedNode, robot: RobotContract):
        self._node, self._robot = node, robot
        self._publisher = node.advertise(ActionChunk, "~/action_chunk", qos.CHUNK)
        #: Taken inside the lock of TaskSlot, never around it.
        self._lock = threading.Lock()
        #: Touched and exchanged under the lock.
        self._session = ChunkSession(robot)

    def restart(self) -> None:
        """Begin a new session of chunks."""
        with self._lock:
            self._session = ChunkSession(self._robot)

    def publish(
        self,
        answer: Answer,
        stamp_ns: int,
        instruction: str,
        unknown_words: tuple[str, ...],
        latency_s: float,
    ) -> None:
        """Publish the next chunk.

        Args:
            answer: Actions in the units of the checkpoint.
            stamp_ns: Acquisition time of the observation [ns, node clock].
            instruction: Instruction that the chunk follows.
            unknown_words: Words of the instruction that the policy never saw.
            latency_s: Wall time of the inference [s].
        """
        with self._lock:
            chunk = self._session.chunk(answer, stamp_ns, self._now_ns(), instruction)
            self._send(replace(chunk, unknown_words=unknown_words), latency_s)

    def publish_end(self) -> None:
        """Publish a chunk without actions, at which the controller stops."""
        with self._lock:
            self._send(self._session.end(self._now_ns()), 0.0)

    def previous(self, stamp_ns: int) -> Previous | None:
        """Return what older chunks would still execute from ``stamp_ns`` [ns, node clock] on, if anything."""
        with self._lock:
            return self._session.previous(stamp_ns)

    def forget_times(self) -> None:
        """Forget when chunks were made, after a backward jump of the clock."""
        with self._lock:
            self._session.forget_times()

    def _send(self, chunk: StampedChunk, latency_s: float) -> None:
        self._publisher.publish(chunk_to_message(chunk, self._robot.base_frame, round(latency_s * 1e9)))

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds
