"""Observes an episode from outside: images, chunks, commands, and the latency of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

from asyncvla_msgs.msg import ActionChunk, ActionCommand
from asyncvla_ros.data.camera_message import decode_image
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros import qos


@dataclass
class InferenceTrace:
    """One observation, its chunk and its commands; times are wall clock at the observer [s].

    Attributes:
        stamp_ns: Acquisition time of the observation.
        images: Camera key to (h, w, 3) uint8 RGB.
        seen_s: When the last camera image arrived.
        chunk_s: When the chunk arrived.
        command_s: When the first command from it arrived.
        actions: (l, d) in physical units.
        confidence: (l,), empty without a rater.
        refined: (l,) bool.
        inference_ms: As the policy measured it.
        executed: Commands in order, each (d,) in physical units.
    """

    stamp_ns: int
    images: dict[str, np.ndarray] = field(default_factory=dict)
    seen_s: float | None = None
    chunk_s: float | None = None
    command_s: float | None = None
    actions: np.ndarray | None = None
    confidence: np.ndarray | None = None
    refined: np.ndarray | None = None
    inference_ms: float = 0.0
    executed: list[np.ndarray] = field(default_factory=list)


class Recorder:
    """Collects inferences by the stamp of their observation; callbacks may run in any thread."""

    def __init__(self, node: Node, robot: RobotContract, chunk_topic: str, command_topic: str) -> None:
        self._lock = threading.Lock()
        self._cameras = [camera.key for camera in robot.cameras]
        self._inferences: dict[int, InferenceTrace] = {}
        for camera in robot.cameras:
            node.create_subscription(
                Image, camera.topic, self._image_taker(camera.key), qos.sensor("reliable")
            )
        node.create_subscription(ActionChunk, chunk_topic, self._on_chunk, qos.CHUNK)
        node.create_subscription(ActionCommand, command_topic, self._on_command, qos.COMMAND)

    def take(self) -> list[InferenceTrace]:
        """Return the complete inferences since the last call, oldest first."""
        with self._lock:
            inferences, self._inferences = self._inferences, {}
        whole = [
            d for d in inferences.values() if d.actions is not None and len(d.images) == len(self._cameras)
        ]
        return sorted(whole, key=lambda d: d.stamp_ns)

    def newest(self) -> InferenceTrace | None:
        """Return the newest inference whose chunk has arrived."""
        with self._lock:
            decided = [d for d in self._inferences.values() if d.actions is not None]
        return max(decided, key=lambda d: d.stamp_ns, default=None)

    def _at(self, stamp_ns: int) -> InferenceTrace:
        return self._inferences.setdefault(stamp_ns, InferenceTrace(stamp_ns))

    def _image_taker(self, key: str) -> Callable[[Image], None]:
        def take(message: Image) -> None:
            now = time.perf_counter()
            pixels = decode_image(message, key)
            with self._lock:
                inference = self._at(to_ns(message.header.stamp))
                # The simulator shows an observation again to a peer that may have missed it.
                if key not in inference.images:
                    inference.images[key], inference.seen_s = pixels, now

        return take

    def _on_chunk(self, message: ActionChunk) -> None:
        now = time.perf_counter()
        if not message.actions:
            # The end of a task answers no observation, though it may have the stamp of one.
            return
        with self._lock:
            inference = self._at(to_ns(message.header.stamp))
            inference.chunk_s = now
            inference.actions = np.asarray(message.actions, np.float32).reshape(-1, len(message.dof_names))
            inference.confidence = np.asarray(message.confidence, np.float32)
            inference.refined = np.asarray(message.refined, bool)
            inference.inference_ms = 1e-6 * to_ns(message.inference_latency)

    def _on_command(self, message: ActionCommand) -> None:
        now = time.perf_counter()
        if message.source != ActionCommand.SOURCE_CHUNK:
            return
        with self._lock:
            inference = self._at(to_ns(message.observation_stamp))
            if inference.command_s is None:
                inference.command_s = now
            inference.executed.append(np.asarray(message.action, np.float32))
