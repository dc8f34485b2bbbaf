"""What a policy predicted on a recording, as another one on the same clock: for rviz and Foxglove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from asyncvla_ros.bags.reader import Recorded
from asyncvla_ros.bags.robot_topics import RobotTopics, resolve
from asyncvla_ros.bags.writer import BagWriter
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.data.camera_message import decode_image
from asyncvla_ros.data.encoded_image import to_jpeg
from asyncvla_ros.data.message_content import named_state, to_ns
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import ContractError
from asyncvla_ros.view.chunk_display import ChunkDisplay
from asyncvla_ros.view.chunk_view import ChunkView, ratings
from asyncvla_ros.view.markers import LIFETIME, marker_parts
from asyncvla_ros.view.overlay import Caption, draw_overlay

# Topics begin so: beside the original ones.
PREFIX = "/replay"
SECOND = 10**9


class Predictions:
    """Writes chunks, markers and a camera with a caption; use as a context manager.

    Args:
        folder: Of the recording; must not exist.
        robot: Whose.
        topics: Where it is in the original.
        tip_link: Whose path is drawn, for joint actions.

    Attributes:
        problems: What cannot be shown, and why.
    """

    def __init__(self, folder: Path, robot: RobotContract, topics: RobotTopics, tip_link: str):
        self._robot, self._tip_link = robot, tip_link
        self._states = {
            topic: source
            for topic, stream in topics.streams.items()
            for source in robot.state
            if source.topic == stream
        }
        self._description = resolve("robot_description", topics.namespace)
        self._prefix = f"{PREFIX}{topics.namespace}"
        self._writer = BagWriter(folder)
        self.problems: list[str] = []
        self._display: ChunkDisplay | None = None
        try:
            self._display = ChunkDisplay(robot)
        except ContractError as error:
            self._note(str(error))

    @property
    def topics(self) -> set[str]:
        """What of the original it needs."""
        return {*self._states, self._description}

    def __enter__(self) -> Predictions:
        self._writer.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self._writer.__exit__(*details)

    def feed(self, one: Recorded) -> None:
        """Take the robot's state and its description."""
        if self._display is None:
            return
        try:
            if one.topic == self._description:
                self._display.describe(one.message.data, self._tip_link)
            elif one.topic in self._states:
                source = self._states[one.topic]
                values = named_state(one.message, source, self._robot.base_frame)
                self._display.observe(source.topic, to_ns(one.message.header.stamp), values)
        except ContractError as error:
            self._note(str(error))

    def write(self, chunk: StampedChunk, snapshot: Snapshot[Any], log_ns: int, latency_s: float) -> None:
        """Write a chunk at ``log_ns`` [ns] of the original recording.

        Raises:
            RunError: it cannot be written.
        """
        make = self._writer.messages
        self._writer.write(f"{self._prefix}/policy/action_chunk", log_ns, self._chunk(chunk, latency_s))
        if self._display is not None:
            self._display.show(chunk)
            view = self._display.view(chunk.stamp_ns)
            if view is not None:
                self._writer.write(f"{self._prefix}/markers", log_ns, self._markers(view))
            elif self._display.problem:
                self._note(self._display.problem)
        camera = next((one for one in self._robot.cameras if one.key in snapshot.values), None)
        if camera is not None:
            original = snapshot.values[camera.key]
            image = draw_overlay(decode_image(original, camera.key), _caption(chunk, latency_s))
            message = make.make(
                "sensor_msgs/msg/CompressedImage",
                header=make.header(chunk.stamp_ns, original.header.frame_id),
                format="jpeg",
                data=np.frombuffer(to_jpeg(image), np.uint8),
            )
            self._writer.write(f"{self._prefix}/overlay/compressed", log_ns, message)

    def _chunk(self, chunk: StampedChunk, latency_s: float) -> Any:
        make = self._writer.messages
        nothing = np.zeros(0, np.float32)
        return make.make(
            "asyncvla_msgs/msg/ActionChunk",
            header=make.header(chunk.stamp_ns, self._robot.base_frame),
            session_id=chunk.session_id,
            chunk_id=chunk.chunk_id,
            action_space=chunk.action_space,
            dof_names=list(chunk.dof_names),
            step=make.duration(chunk.action_period_ns),
            begin=make.time(chunk.begin_ns),
            actions=chunk.actions.astype(np.float32).ravel(),
            confidence=nothing if chunk.confidence is None else chunk.confidence.astype(np.float32),
            refined=np.zeros(0, bool) if chunk.refined is None else chunk.refined.astype(bool),
            committed=chunk.n_frozen,
            inference_latency=make.duration(round(SECOND * latency_s)),
            instruction=chunk.instruction,
            unknown_words=list(chunk.unknown_words),
        )

    def _markers(self, view: ChunkView) -> Any:
        make = self._writer.messages
        markers = [
            make.make(
                "visualization_msgs/msg/Marker",
                header=make.header(0, self._robot.base_frame),
                ns=part.name,
                type=part.kind,
                action=part.action,
                pose=make.make(
                    "geometry_msgs/msg/Pose", orientation=make.make("geometry_msgs/msg/Quaternion", w=1.0)
                ),
                scale=make.make("geometry_msgs/msg/Vector3", x=part.size, y=part.size, z=part.size),
                lifetime=make.duration(LIFETIME * SECOND),
                points=make.points(part.points),
                colors=[
                    make.make("std_msgs/msg/ColorRGBA", r=r, g=g, b=b, a=a)
                    for r, g, b, a in part.colors.tolist()
                ],
            )
            for part in marker_parts(view)
        ]
        return make.make("visualization_msgs/msg/MarkerArray", markers=markers)

    def _note(self, problem: str) -> None:
        text = f"no path is drawn: {problem}"
        if text not in self.problems:
            self.problems.append(text)


def _caption(chunk: StampedChunk, latency_s: float) -> Caption:
    confidence, refined = ratings(chunk)
    return Caption(instruction=chunk.instruction, confidence=confidence, refined=refined, latency_s=latency_s)
