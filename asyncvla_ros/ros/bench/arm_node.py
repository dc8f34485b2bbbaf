"""A robot without a body, or its cameras, or its arm: images, joint states, joints that follow commands."""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header, UInt32

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import CAMERAS, JOINTS, camera_topic
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters, parameter

# Share of the way to what is commanded that the joints go between two joint states.
FOLLOWS = 0.7


@dataclass(frozen=True)
class ArmParameters:
    """Parameters of the arm."""

    width: int = parameter(640, "Width of the images [px]", minimum=16, maximum=8192, read_only=True)
    height: int = parameter(480, "Height of the images [px]", minimum=16, maximum=8192, read_only=True)
    cameras: int = parameter(2, "Number of cameras", minimum=0, maximum=len(CAMERAS), read_only=True)
    hz: float = parameter(30.0, "Images of each camera [Hz]", minimum=0.1, maximum=1000.0, read_only=True)
    joint_hz: float = parameter(
        100.0, "Joint states [Hz]; 0: none", minimum=0.0, maximum=1000.0, read_only=True
    )
    transport: str = parameter("raw", "Kind of images", choices=("raw", "compressed"), read_only=True)
    stiction: float = parameter(
        0.0,
        "How far short of what is commanded the joints stop [rad]",
        minimum=0.0,
        maximum=0.1,
        read_only=True,
    )
    frozen_cameras: bool = parameter(False, "No images, as if the cameras hung")
    frozen_joints: bool = parameter(False, "No joint states, as if their driver hung; the arm obeys")
    frames: int = parameter(
        0, "Images of each camera, once all are listened to; 0: on and on", minimum=0, maximum=10**9
    )
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)


class ArmNode(ManagedNode):
    """Publishes while active.

    ``~/shutter`` has the stamp of each picture; ``~/sent`` says at the end how many each camera sent;
    ``~/body`` says where the joints are, even while joint states are frozen, and ``~/obeyed`` which commands
    reached them.
    """

    def __init__(self) -> None:
        super().__init__("arm")
        self._params = Parameters(self, ArmParameters)
        self._positions: np.ndarray = np.zeros(len(JOINTS))
        self._commanded: np.ndarray = self._positions
        self._sent = self._ready = 0

    def configure(self) -> None:
        """Creates publishers and makes the picture."""
        values = self._params.values
        self._image = _picture(values.width, values.height, values.transport)
        kind = Image if values.transport == "raw" else CompressedImage
        topics = [camera_topic(camera, values.transport) for camera in CAMERAS[: values.cameras]]
        self._cameras = [self.advertise(kind, topic, qos.sensor("best_effort")) for topic in topics]
        self._shutter = self.advertise(Header, "~/shutter", qos.COMMAND)
        self._done = self.advertise(UInt32, "~/sent", qos.STATUS)
        if values.joint_hz:
            self._joints = self.advertise(JointState, "joint_states", qos.sensor("best_effort"))
            self._body = self.advertise(JointState, "~/body", qos.COMMAND)
            self._obeyed = self.advertise(ActionCommand, "~/obeyed", qos.COMMAND)
            self.subscribe(ActionCommand, "controller/command", self._obey, qos.COMMAND)

    def activate(self) -> None:
        """Starts the timers."""
        values = self._params.values
        self._timers: list[Any] = []
        if values.cameras:
            self._timers.append(self.create_timer(1.0 / values.hz, self._see))
        if values.joint_hz:
            self._timers.append(self.create_timer(1.0 / values.joint_hz, self._feel))

    def deactivate(self) -> None:
        """Ends the timers."""
        for timer in self.__dict__.pop("_timers", []):
            self.destroy_timer(timer)

    def _obey(self, command: ActionCommand) -> None:
        self._commanded = np.asarray(command.action, np.float64)
        self._obeyed.publish(command)

    def _see(self) -> None:
        values = self._params.values
        if values.frozen_cameras:
            return
        if values.frames and (self._sent >= values.frames or not self._is_listened_to()):
            return
        self._image.header.stamp = self.get_clock().now().to_msg()
        self._shutter.publish(self._image.header)
        for camera in self._cameras:
            camera.publish(self._image)
        self._sent += 1
        if self._sent == values.frames:
            self._done.publish(UInt32(data=self._sent))

    def _is_listened_to(self) -> bool:
        """Whether all cameras have had a listener for a second: both sides know each other by then."""
        has_listeners = all(camera.get_subscription_count() > 0 for camera in self._cameras)
        self._ready = self._ready + 1 if has_listeners else 0
        return self._ready > self._params.values.hz

    def _feel(self) -> None:
        values = self._params.values
        behind = self._commanded - self._positions
        driven = behind - np.clip(behind, -values.stiction, values.stiction)
        self._positions = self._positions + FOLLOWS * driven
        message = JointState(name=list(JOINTS), position=self._positions.tolist())
        message.header.stamp = self.get_clock().now().to_msg()
        self._body.publish(message)
        if not values.frozen_joints:
            self._joints.publish(message)


def _picture(width: int, height: int, transport: str) -> Any:
    """A gradient with some noise, so that a JPEG of it has a usual size."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, width)[None, :, None] + rng.integers(0, 40, (height, width, 3))
    pixels = ramp.astype(np.uint8)
    if transport == "raw":
        image = Image(width=width, height=height, step=3 * width, encoding="rgb8")
        image.data = array.array("B", pixels.tobytes())
        return image
    _, jpeg = cv2.imencode(".jpg", pixels)
    return CompressedImage(format="jpeg", data=array.array("B", jpeg.tobytes()))


def main() -> None:
    """Runs the node."""
    run_node(ArmNode)


if __name__ == "__main__":
    main()
