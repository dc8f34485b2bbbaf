"""The visualizer from configure to cleanup: its methods are the callbacks of the node.

chunk, robot state, status, camera ──> ~/markers, ~/overlay
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from asyncvla_msgs.msg import ActionChunk, ControllerStatus
from asyncvla_ros.common.statistics import Rates
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.types import Mode
from asyncvla_ros.data.camera_message import decode_image
from asyncvla_ros.data.message_content import named_state, to_ns
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract import CameraSource, JointStateSource, PoseSource
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import chunk_from_message
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.ros.images import rgb_message
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.repeated_warning import RepeatedWarning
from asyncvla_ros.ros.source_streams import message_type
from asyncvla_ros.ros.visualizer.markers import chunk_markers, no_markers
from asyncvla_ros.ros.visualizer.parameters import VisualizerParameters
from asyncvla_ros.types import ContractError
from asyncvla_ros.view.chunk_display import ChunkDisplay
from asyncvla_ros.view.chunk_view import ratings
from asyncvla_ros.view.overlay import Caption, draw_overlay


class VisualizerSession:
    """Keeps the newest message of each topic, and draws it several times per second.

    The drawing is in ``asyncvla_ros.view``. Threads: every field belongs to the node's executor.

    Args:
        node: Owns topics and the timer.
        params: Parameters of the node.

    Raises:
        ContractError: the contract is missing or wrong, has no such camera, or its actions cannot be drawn.
    """

    def __init__(self, node: ManagedNode, params: Parameters[VisualizerParameters]):
        values = params.values
        self._node, self._params = node, params
        self._robot = load_robot(robot_file(values.robot))
        self._camera = self._camera_source()
        self._display = ChunkDisplay(self._robot)
        self._state_warning, self._path_warning, self._overlay_warning = (
            RepeatedWarning(node) for _ in range(3)
        )
        self._chunks, self._rates = 0, Rates()
        #: The newest message of each; None: none has arrived yet.
        self._status: ControllerStatus | None = None
        self._image: Image | CompressedImage | None = None
        self._latency_s = float("nan")
        #: Whether the last markers were a path.
        self._is_shown = False
        self._markers = node.advertise(MarkerArray, "~/markers", qos.COMMAND)
        self._overlay = node.advertise(Image, "~/overlay", qos.COMMAND)
        self._subscribe_all()
        # A steady clock, as a simulated one may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        timer = node.create_timer(1.0 / values.publish_hz, self._publish, clock=steady)
        node.resources.callback(node.destroy_timer, timer)

    def _camera_source(self) -> CameraSource:
        key = self._params.values.camera
        cameras = {camera.key: camera for camera in self._robot.cameras}
        if key and key not in cameras:
            raise ContractError(f"parameter camera is {key!r}, expected one of {', '.join(cameras)}, or none")
        return cameras[key] if key else self._robot.cameras[0]

    def _subscribe_all(self) -> None:
        values, subscribe = self._params.values, self._node.subscribe
        sensor = qos.sensor(values.sensor_reliability)
        subscribe(ActionChunk, values.chunk_topic, self._on_chunk, qos.CHUNK)
        subscribe(ControllerStatus, values.status_topic, self._on_status, qos.STATUS)
        for source in self._robot.state:
            subscribe(message_type(source), source.topic, partial(self._on_state, source), sensor)
        subscribe(message_type(self._camera), self._camera.topic, self._on_image, sensor)
        if self._display.needs_description:
            subscribe(String, values.description_topic, self._on_description, qos.STATUS)

    def start(self) -> None:
        """Remove what was shown before."""
        self._is_shown = False
        self._markers.publish(no_markers())

    def stop(self) -> None:
        """Remove the path."""
        self._markers.publish(no_markers())

    def report(self) -> Report:
        """Return what ``/diagnostics`` says."""
        problem = self._display.problem
        level = DiagnosticStatus.WARN if problem else DiagnosticStatus.OK
        rates = self._rates.update(time.monotonic(), {"chunks": self._chunks})
        return Report(level, problem or "ok", {"path shown": self._is_shown, "chunks [Hz]": rates["chunks"]})

    def _on_chunk(self, message: ActionChunk) -> None:
        chunk = chunk_from_message(message)
        self._display.show(chunk)
        if not chunk.is_end:
            self._chunks += 1
            self._latency_s = 1e-9 * to_ns(message.inference_latency)

    def _on_status(self, message: ControllerStatus) -> None:
        self._status = message

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._image = message

    def _on_state(self, source: JointStateSource | PoseSource, message: Any) -> None:
        try:
            values = named_state(message, source, self._robot.base_frame)
        except ContractError as error:
            self._state_warning.say(f"robot state ignored: {error}")
            return
        self._display.observe(source.topic, to_ns(message.header.stamp), values)

    def _on_description(self, message: String) -> None:
        try:
            self._display.describe(message.data, self._params.values.tip_link)
        except ContractError as error:
            self._node.get_logger().error(f"no path of joint actions: {error}")

    def _publish(self) -> None:
        if not self._node.is_active:
            return
        now_ns = self._node.get_clock().now().nanoseconds
        view = self._display.view(now_ns)
        if view is not None:
            self._markers.publish(chunk_markers(view, self._robot.base_frame))
        elif self._is_shown:
            self._markers.publish(no_markers())
        self._is_shown = view is not None
        if self._display.problem:
            self._path_warning.say(f"no path: {self._display.problem}")
        if self._image is not None and self._overlay.get_subscription_count():
            self._publish_overlay(self._image, self._caption(self._display.chunk(now_ns), now_ns))

    def _publish_overlay(self, message: Image | CompressedImage, caption: Caption) -> None:
        try:
            image = decode_image(message, self._camera.key)
        except ContractError as error:
            self._overlay_warning.say(f"no overlay: {error}")
            return
        self._overlay.publish(rgb_message(draw_overlay(image, caption), message.header))

    def _caption(self, chunk: StampedChunk | None, now_ns: int) -> Caption:
        status = self._status
        mode = None if status is None else Mode(status.mode)
        reason = "" if status is None else status.reason
        if chunk is None:
            return Caption(mode=mode, reason=reason)
        confidence, refined = ratings(chunk)
        return Caption(
            instruction=chunk.instruction,
            mode=mode,
            reason=reason,
            confidence=confidence,
            refined=refined,
            executed=chunk.executed_at(now_ns),
            latency_s=self._latency_s,
        )
