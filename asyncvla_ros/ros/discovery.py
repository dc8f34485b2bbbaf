"""What a running robot says about itself: topics for a first contract, its description for its limits."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from asyncvla_ros.robot.draft import LiveTopics
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.side_node import side_node
from asyncvla_ros.types import ContractError, RunError

IMAGES = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}
# Period of the timer that looks at the graph [s]: rclpy has no event for its changes.
LOOK_PERIOD = 0.1
# The search ends when nothing new has appeared for so long [s].
QUIET_S = 1.5


def robot_description(topic: str, patience_s: float) -> str:
    """Return the URDF that is published, latched, on a topic.

    Raises:
        ContractError: there is none within ``patience_s`` [s] of wall time.
    """
    found: list[str] = []
    with side_node("asyncvla_description") as (node, executor):
        node.create_subscription(String, topic, lambda message: found.append(message.data), qos.STATUS)
        deadline = time.monotonic() + patience_s
        while not found and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=max(0.0, deadline - time.monotonic()))
    if not found:
        raise ContractError(
            f"no robot description on {topic} within {patience_s:g} s; is robot_state_publisher running?"
        )
    return found[0]


def discover(patience_s: float) -> LiveTopics:
    """Find the topics of a running robot within ``patience_s`` [s] of wall time.

    Ends early when nothing new has appeared for a while.

    Raises:
        RunError: neither joint states nor images are published.
    """
    with side_node("asyncvla_new_robot") as (node, executor):
        search = _Search(node)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < min(deadline, search.quiet_after):
            executor.spin_once(timeout_sec=LOOK_PERIOD)
    found = search.found()
    if not found.joint_topic and not found.images:
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        raise RunError(
            f"neither sensor_msgs/JointState nor images found in {patience_s:g} s; are the drivers running, "
            f"and in this ROS_DOMAIN_ID ({domain})?"
        )
    return found


class _Search:
    """Notes topics as they appear, and reads joint names and robot description."""

    def __init__(self, node: Node):
        self._node = node
        self._types: dict[str, str] = {}
        self._joints: dict[str, tuple[str, ...]] = {}
        self._urdf: str | None = None
        self.quiet_after = float("inf")
        node.create_timer(LOOK_PERIOD, self._look)

    def _look(self) -> None:
        for topic, types in self._node.get_topic_names_and_types():
            kind = types[0]
            obeyed = kind == "trajectory_msgs/msg/JointTrajectory"
            ends = self._node.count_subscribers(topic) if obeyed else self._node.count_publishers(topic)
            if topic in self._types or not ends:
                continue
            if kind == "sensor_msgs/msg/JointState":
                read = partial(self._read_joints, topic)
                self._node.create_subscription(JointState, topic, read, qos.sensor("best_effort"))
            elif kind == "std_msgs/msg/String" and topic.endswith("/robot_description"):
                self._node.create_subscription(String, topic, self._read_urdf, qos.STATUS)
            elif kind not in IMAGES and not obeyed:
                continue
            self._types[topic] = kind
            self._news()

    def _news(self) -> None:
        self.quiet_after = time.monotonic() + QUIET_S

    def _read_joints(self, topic: str, message: Any) -> None:
        if len(message.name) > len(self._joints.get(topic, ())):
            self._joints[topic] = tuple(message.name)
            self._news()

    def _read_urdf(self, message: Any) -> None:
        if message.data != self._urdf:
            self._urdf = message.data
            self._news()

    def found(self) -> LiveTopics:
        """Return everything noted so far."""
        joint_topics = [topic for topic, kind in self._types.items() if kind.endswith("/JointState")]
        best = max(sorted(joint_topics), key=lambda topic: len(self._joints.get(topic, ())), default="")
        return LiveTopics(
            joint_topic=best,
            joints=self._joints.get(best, ()),
            images={topic: IMAGES[kind] for topic, kind in self._types.items() if kind in IMAGES},
            trajectory_topics=tuple(
                sorted(topic for topic, kind in self._types.items() if kind.endswith("/JointTrajectory"))
            ),
            urdf=self._urdf,
        )
