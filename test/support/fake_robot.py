"""What the test plays towards a node: cameras and robot state, or a policy's chunks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState

from asyncvla_msgs.msg import ActionChunk
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import chunk_to_message, to_time
from support.contracts import chunk
from support.ros_client import RosClient

# A node that imports torch on a busy machine [s].
START_TIMEOUT = 180.0
SENSORS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def image_message(stamp_ns: int, brightness: int = 0) -> Image:
    """Make a plain 224x224 rgb8 image."""
    message = Image(height=224, width=224, encoding="rgb8", step=224 * 3)
    message.header.stamp = to_time(stamp_ns)
    message.data.frombytes(np.full((224, 224, 3), brightness, np.uint8).tobytes())
    return message


def pose_message(stamp_ns: int) -> PoseStamped:
    """Make the pose of the end effector at (0.1, 0.2, 0.3), not rotated."""
    message = PoseStamped()
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = "panda_link0"
    position, orientation = message.pose.position, message.pose.orientation
    position.x, position.y, position.z, orientation.w = 0.1, 0.2, 0.3, 1.0
    return message


def joint_message(stamp_ns: int) -> JointState:
    """Arm and fingers; a policy needs the fingers only."""
    names = [*(f"panda_joint{i}" for i in range(1, 8)), "panda_finger_joint1", "panda_finger_joint2"]
    message = JointState(name=names, position=[0.0] * 7 + [0.02, -0.02])
    message.header.stamp = to_time(stamp_ns)
    return message


class FakeRobot:
    """Publishes libero_panda's observations on request or at a rate.

    Args:
        client: Owner of the publishers.
        cameras: Whether to publish images too.
        pose: Whether to publish the end effector's pose too.
    """

    def __init__(self, client: RosClient, *, cameras: bool = True, pose: bool = True):
        self._client = client
        kinds: dict[str, type] = {"joint_states": JointState}
        if pose:
            kinds["ee_pose"] = PoseStamped
        if cameras:
            kinds |= {"agentview/image_raw": Image, "wrist/image_raw": Image}
        self.publishers: dict[str, Any] = {
            topic: client.node.create_publisher(kind, topic, SENSORS) for topic, kind in kinds.items()
        }
        self._timer: Any = None

    def now_ns(self) -> int:
        """Read the clock of nodes without simulated time [ns]."""
        return self._client.node.get_clock().now().nanoseconds

    def wait_for_subscribers(self, *topics: str) -> None:
        """Wait for a subscriber of each of these topics; without names, of all topics."""
        for topic in topics or self.publishers:
            publisher = self.publishers[topic]
            self._client.wait_until(partial(_has_listener, publisher), f"listener of {topic}", START_TIMEOUT)

    def publish(self, stamp_ns: int | None = None) -> int:
        """Publish one observation and return its stamp [ns], by default now."""
        stamp_ns = self.now_ns() if stamp_ns is None else stamp_ns
        for topic, publisher in self.publishers.items():
            make = {"ee_pose": pose_message, "joint_states": joint_message}.get(topic, image_message)
            publisher.publish(make(stamp_ns))
        return stamp_ns

    def start(self, hz: float = 20.0) -> None:
        """Publish observations at a rate [Hz], stamped now."""

        def tick() -> None:
            self.publish()

        self._timer = self._client.node.create_timer(1.0 / hz, tick)

    def stop(self) -> None:
        """End what ``start`` began."""
        self._client.node.destroy_timer(self._timer)


def _has_listener(publisher: Any) -> bool:
    return publisher.get_subscription_count() > 0


class ChunkPeer:
    """Sends chunks in place of a policy."""

    def __init__(self, client: RosClient, topic: str = "policy/action_chunk"):
        self._client = client
        self._publisher = client.publisher(ActionChunk, topic, qos.CHUNK)
        self._count = 0

    def send(self, stamp_ns: int | None = None, **changes: Any) -> StampedChunk:
        """Send the next chunk, by default stamped now; ``changes`` as in ``contracts.chunk``."""
        self._count += 1
        now_ns = self._client.node.get_clock().now().nanoseconds
        sent = chunk(self._count, now_ns if stamp_ns is None else stamp_ns, **changes)
        self._publisher.publish(chunk_to_message(sent, "panda_link0", 0))
        return sent
