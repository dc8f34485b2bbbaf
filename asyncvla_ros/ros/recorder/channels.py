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

# Between two looks of a thread: at 30 Hz a second of images, and at 1 kHz a fifth of joint states.
DEPTH = 200
IMAGE_DEPTH = 30
# What is published once, for all who come later; of these many publishers the last word is kept.
LATCHED = {"/tf_static": 20}
FOREVER = QosTime(2147483647, 4294967295)


@dataclass(frozen=True)
class Wanted:
    """A topic to subscribe to.

    Attributes:
        topic: As a node of the robot would name it.
        kind: Type of its messages.
        is_latched: Published once for all who come later.
    """

    topic: str
    kind: str
    is_latched: bool = False


def wanted(robot: RobotContract, episode_topic: str, chunk_topic: str) -> list[Wanted]:
    """What belongs to an episode of a robot.

    Args:
        robot: Its contract.
        episode_topic: Of a simulator's EpisodeStatus; empty: there is none.
        chunk_topic: Of the policy.
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
    # A topic may have two meanings, such as a state that is also a driver's.
    return list({one.topic: one for one in reversed(found)}.values())[::-1]


def _camera_kind(camera: CameraSource) -> str:
    return f"sensor_msgs/msg/{'Image' if camera.transport == 'raw' else 'CompressedImage'}"


def message_class(kind: str) -> Any:
    """The class of a message type; None: its package is not installed."""
    package, _, name = kind.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def profile(node: Node, one: Wanted) -> QoSProfile:
    """A quality of service that hears whoever publishes a topic now, and loses nothing that can be had."""
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
    """A topic as a recording describes it, with the quality of service to play it back with."""
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
                False,
            ),
        ),
        has_header="header" in message_class(kind).get_fields_and_field_types(),
    )


def header_stamp(content: bytes) -> int:
    """The stamp [ns] of a serialized message that begins with a header."""
    order = "<" if content[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", content, 4)
    return int(seconds) * 10**9 + int(nanoseconds)
