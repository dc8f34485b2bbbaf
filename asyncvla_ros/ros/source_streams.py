"""Streams by which the sources of a robot contract arrive."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CompressedImage, Image, JointState

from asyncvla_ros.data.robot_policy import Source
from asyncvla_ros.robot.contract import CameraSource, JointStateSource
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.stream_watch import Stream


def message_type(source: Source) -> Any:
    """Return the type of the messages that a source publishes."""
    if isinstance(source, CameraSource):
        return Image if source.transport == "raw" else CompressedImage
    return JointState if isinstance(source, JointStateSource) else PoseStamped


def stream_of(source: Source, reliability: str) -> Stream:
    """Return the stream to subscribe to for a source, with the reliability of the user's choice."""
    profile = qos.sensor(reliability) if isinstance(source, CameraSource) else qos.state(reliability)
    return Stream(source.topic, message_type(source), profile)
