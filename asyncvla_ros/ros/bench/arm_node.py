"""A robot without a body, or its cameras, or its arm: images, joint states, joints that follow commands."""

from __future__ import annotations

import array
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Header, UInt32
from trajectory_msgs.msg import JointTrajectory

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import CAMERAS, DRIVES_TOPIC, JOINTS, TRAJECTORY_TOPIC, camera_topic
from asyncvla_ros.ros.bench.arm_body import ArmBody
from asyncvla_ros.ros.bench.arm_driver import LoggedDriver
from asyncvla_ros.ros.bench.graph import ALL, LOG
from asyncvla_ros.ros.bench.stepped_clock import SteppedClocks
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters, parameter


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
    follows_trajectories: bool = parameter(
        False, "Driven by trajectories, not by ActionCommand", read_only=True
    )
    place: float = parameter(
        0.0, "Where the joints are at the start [rad]", minimum=-2.0, maximum=2.0, read_only=True
    )
    is_listening: bool = parameter(True, "Whether the driver takes commands; once it does, it goes on")
    drives_on: bool = parameter(
        True, "Whether the joints go where the driver demands; else a hand moves them"
    )
    by_hand: float = parameter(
        0.0,
        "Where to, from where the drives left the joints [rad]",
        minimum=-2.0,
        maximum=2.0,
    )
    frozen_cameras: bool = parameter(False, "No images, as if the cameras hung")
    frozen_joints: bool = parameter(False, "No joint states, as if their driver hung; the arm obeys")
    frames: int = parameter(
        0, "Images of each camera, once all are listened to; 0: on and on", minimum=0, maximum=10**9
    )
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)


class ArmNode(SteppedClocks, ManagedNode):
    """Publish images and joint states while active; obey commands.

    ``~/shutter`` has the stamp of each picture; ``~/sent`` says at the end how many each camera sent;
    ``~/body`` says where the joints are, even while joint states are frozen, and ``~/obeyed`` which commands
    reached them, both to those who listen; ``~/received`` is the log of a driver of trajectories.
    """

    def __init__(self) -> None:
        super().__init__("arm")
        self._params = Parameters(self, ArmParameters, self._on_change)
        self._commanded: np.ndarray = np.zeros(len(JOINTS))
        self._sent = self._ready = 0
        self._has_joints = False

    def configure(self) -> None:
        """Create publishers and make the picture."""
        values = self._params.values
        self._image = _picture(values.width, values.height, values.transport)
        kind = Image if values.transport == "raw" else CompressedImage
        topics = [camera_topic(camera, values.transport) for camera in CAMERAS[: values.cameras]]
        self._cameras = [self.advertise(kind, topic, qos.sensor("best_effort")) for topic in topics]
        self._shutter = self.advertise(Header, "~/shutter", qos.COMMAND)
        self._done = self.advertise(UInt32, "~/sent", qos.STATUS)
        self._has_joints = values.joint_hz > 0
        if self._has_joints:
            self._configure_joints()

    def _configure_joints(self) -> None:
        values = self._params.values
        self._body = ArmBody(values.place, values.stiction, 1.0 / values.joint_hz)
        self._commanded = self._body.positions
        self._joint_publisher = self.advertise(JointState, "joint_states", qos.sensor("best_effort"))
        self._body_publisher = self.advertise(JointState, "~/body", qos.COMMAND)
        self._obeyed = self.advertise(ActionCommand, "~/obeyed", qos.COMMAND)
        self._drives = self.advertise(Bool, DRIVES_TOPIC, qos.STATUS)
        self._log = self.advertise(JointTrajectory, "~/received", LOG)
        if values.is_listening:
            self._listen()

    def _listen(self) -> None:
        self.subscribe(ActionCommand, "controller/command", self._obey, ALL)
        if self._params.values.follows_trajectories:
            # Before Iron only the time of the call is known, which is later than the arrival.
            knows_arrival = hasattr(Subscription, "CallbackType")
            follow = self._follow if knows_arrival else partial(self._follow, info=None)
            self.subscribe(JointTrajectory, TRAJECTORY_TOPIC, follow, ALL)

    def activate(self) -> None:
        """Start the timers."""
        values = self._params.values
        self._periodic: list[Any] = []
        if values.cameras:
            self._start(1.0 / values.hz, self._see)
        if values.joint_hz:
            self._driver = LoggedDriver(self._body.positions, time.time_ns())
            self._log.publish(self._driver.first_entry)
            self._drives.publish(Bool(data=values.drives_on))
            self._start(1.0 / values.joint_hz, self._feel)

    def _start(self, period_s: float, action: Any) -> None:
        """Start a timer on a steady clock, as a driver's own is, whatever its stamps say."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._periodic.append(self.create_timer(period_s, action, clock=clock))

    def deactivate(self) -> None:
        """End the timers."""
        for timer in self.__dict__.pop("_periodic", []):
            self.destroy_timer(timer)

    def _on_change(self, old: ArmParameters, new: ArmParameters) -> None:
        if not self._has_joints:
            return
        if new.drives_on != old.drives_on:
            self._drives.publish(Bool(data=new.drives_on))
        if new.is_listening and not old.is_listening:
            self._listen()

    def _obey(self, command: ActionCommand) -> None:
        self._commanded = np.asarray(command.action, np.float64)
        if self._obeyed.get_subscription_count():
            self._obeyed.publish(command)

    def _follow(self, message: JointTrajectory, info: Mapping[str, int] | None) -> None:
        # rclpy says when a message came only to a callback that cannot be called without.
        arrived_ns = time.time_ns() if info is None else info["received_timestamp"]
        self._log.publish(self._driver.receive(message, arrived_ns))

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
        """Return whether all cameras have had a listener for a second: both sides know each other by then."""
        has_listeners = all(camera.get_subscription_count() > 0 for camera in self._cameras)
        self._ready = self._ready + 1 if has_listeners else 0
        return self._ready > self._params.values.hz

    def _feel(self) -> None:
        values = self._params.values
        if values.drives_on:
            is_driven = values.follows_trajectories
            demand = self._driver.demand(time.time_ns()) if is_driven else self._commanded
            self._body.drive(demand, values.by_hand)
        else:
            self._body.lead(values.by_hand)
        message = JointState(name=list(JOINTS), position=self._body.positions.tolist())
        message.header.stamp = self.get_clock().now().to_msg()
        if self._body_publisher.get_subscription_count():
            self._body_publisher.publish(message)
        if not values.frozen_joints:
            self._joint_publisher.publish(message)


def _picture(width: int, height: int, transport: str) -> Any:
    """Return a gradient with some noise, so that its JPEG has a usual size."""
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
    """Run the node."""
    run_node(ArmNode)


if __name__ == "__main__":
    main()
