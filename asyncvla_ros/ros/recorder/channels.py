"""Which topics of a robot are recorded, with which type and quality of service."""

from __future__ import annotations

import importlib
import struct
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from asyncvla_ros.robot.contract import CameraSource, JointStateSource, RobotContract
from asyncvla_ros.ros.controller.output_messages import ACTION_ADAPTERS, TOPIC_ADAPTERS
from asyncvla_ros.ros.recorder.episode_writer import Channel
from asyncvla_ros.ros.stream_watch import type_name

# Queues that outlast a busy executor: a second of images at 30 Hz, 0.2 s of joint states at 1 kHz.
DEPTH = 200
IMAGE_DEPTH = 30
# Latched topics with several publishers: the last message of up to so many of them is kept.
LATCHED = {"/tf_static": 20}
FOREVER = QosTime(2147483647, 4294967295)


@dataclass(frozen=True)
class Wanted:
    """A topic to subscribe to.

    Attributes:
        topic: Name as a node in the robot's namespace gives it.
        kind: Type of its messages.
        is_latched: Whether it is published once, for later subscribers, too.
    """

    topic: str
    kind: str
    is_latched: bool = False


def wanted(robot: RobotContract, episode_topic: str, chunk_topic: str) -> list[Wanted]:
    """List the topics that belong to an episode of a robot.

    Args:
        robot: Contract of the robot.
        episode_topic: Topic of a simulator's EpisodeStatus; empty: there is none.
        chunk_topic: Topic of the policy's chunks.
    """
    found = [Wanted(camera.topic, _camera_kind(camera)) for camera in robot.cameras]
    for source in robot.state:
        is_joints = isinstance(source, JointStateSource)
        kind = "sensor_msgs/msg/JointState" if is_joints else "geometry_msgs/msg/PoseStamped"
        found.append(Wanted(source.topic, kind))
    for output in robot.outputs:
        if output.adapter not in (*ACTION_ADAPTERS, "action_command"):
            found.append(Wanted(output.topic, type_name(TOPIC_ADAPTERS[output.adapter][0])))
    found += [Wanted(state.topic, state.message, is_latched=True) for state in robot.driver_states]
    found += [
        Wanted(chunk_topic, "asyncvla_msgs/msg/ActionChunk"),
        Wanted("controller/command", "asyncvla_msgs/msg/ActionCommand"),
        Wanted("controller/status", "asyncvla_msgs/msg/ControllerStatus", is_latched=True),
        Wanted("/tf", "tf2_msgs/msg/TFMessage"),
        Wanted("/tf_static", "tf2_msgs/msg/TFMessage", is_latched=True),
        Wanted("robot_description", "std_msgs/msg/String", is_latched=True),
    ]
    if episode_topic:
        found.append(Wanted(episode_topic, "asyncvla_msgs/msg/EpisodeStatus", is_latched=True))
    # One topic may be listed twice, such as a state that is also a driver's.
    return list({one.topic: one for one in reversed(found)}.values())[::-1]


def _camera_kind(camera: CameraSource) -> str:
    return f"sensor_msgs/msg/{'Image' if camera.transport == 'raw' else 'CompressedImage'}"


def message_class(kind: str) -> Any:
    """Return the class of a message type; None if its package is not installed."""
    package, _, name = kind.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def profile(node: Node, one: Wanted) -> QoSProfile:
    """Return the most reliable profile that is compatible with all current publishers of a topic."""
    offered = [
        info.qos_profile for info in node.get_publishers_info_by_topic(node.resolve_topic_name(one.topic))
    ]
    is_reliable = bool(offered) and all(found.reliability == ReliabilityPolicy.RELIABLE for found in offered)
    is_latched = one.is_latched and all(
        found.durability == DurabilityPolicy.TRANSIENT_LOCAL for found in offered
    )
    return QoSProfile(
        depth=IMAGE_DEPTH if one.kind.endswith("Image") else DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL
        if is_reliable and is_latched
        else DurabilityPolicy.VOLATILE,
    )


def channel(topic: str, kind: str, heard: QoSProfile) -> Channel:
    """Describe a topic for a recording, with the quality of service for its replay."""
    is_latched = heard.durability == DurabilityPolicy.TRANSIENT_LOCAL
    is_reliable = heard.reliability == ReliabilityPolicy.RELIABLE
    return Channel(
        topic,
        kind,
        (
            Qos(
                QosHistory.KEEP_LAST,
                max(1, LATCHED.get(topic, 1)) if is_latched else 10,
                QosReliability.RELIABLE if is_reliable else QosReliability.BEST_EFFORT,
                QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE,
                FOREVER,
                FOREVER,
                QosLiveliness.AUTOMATIC,
                FOREVER,
                avoid_ros_namespace_conventions=False,
            ),
        ),
        has_header="header" in message_class(kind).get_fields_and_field_types(),
    )


def header_stamp(content: bytes) -> int:
    """Read the stamp [ns] of a serialized message that begins with a header."""
    order = "<" if content[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", content, 4)
    return int(seconds) * 10**9 + int(nanoseconds)
