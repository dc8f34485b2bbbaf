"""Finds why a topic is silent: no publisher, or one with another type or quality of service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

USE_SIM_TIME = "use_sim_time"


@dataclass(frozen=True)
class Stream:
    """What a node subscribes to.

    Attributes:
        topic: Name given to the subscription.
        kind: Type of its messages.
        profile: Quality of service of the subscription.
    """

    topic: str
    kind: type
    profile: QoSProfile


class StreamWatch:
    """Asks the ROS graph why a stream of a node is silent.

    Args:
        node: The subscriber.
        streams: Streams by the name used in messages to people.
    """

    def __init__(self, node: Node, streams: Mapping[str, Stream]):
        self._node = node
        self._streams = dict(streams)

    def silence(self, name: str) -> str:
        """Return why a stream is silent, as far as the ROS graph says; empty if it says nothing."""
        stream = self._streams.get(name)
        return "" if stream is None else publication_problem(self._node, stream)


def publication_problem(node: Node, stream: Stream) -> str:
    """Return why the publishers of a topic do not serve this subscription; empty if one does."""
    found = node.get_publishers_info_by_topic(node.resolve_topic_name(stream.topic))
    if not found:
        return "nobody publishes it"
    expected = type_name(stream.kind)
    fitting = [info for info in found if info.topic_type == expected]
    if not fitting:
        others = ", ".join(sorted({info.topic_type for info in found}))
        return f"it is published as {others}, expected {expected}"
    reasons = []
    for info in fitting:
        compatibility, reason = qos_check_compatible(info.qos_profile, stream.profile)
        if compatibility != QoSCompatibility.ERROR:
            return ""
        reasons.append(reason.removeprefix("ERROR: ").rstrip(";"))
    return f"its publisher does not fit: {'; '.join(sorted(set(reasons)))}"


def clock_problem(node: Node) -> str:
    """Return why the clock of a node stands still; empty if it does not."""
    clock: Any = node.get_clock()
    if not clock.ros_time_is_active or clock.now().nanoseconds:
        return ""
    publishers = node.count_publishers("/clock")
    cause = "nobody publishes /clock" if not publishers else "nothing came on /clock yet"
    return f"{USE_SIM_TIME} is true, and {cause}"


def type_name(kind: type) -> str:
    """Return a message type as the ROS graph names it, such as ``sensor_msgs/msg/Image``."""
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
