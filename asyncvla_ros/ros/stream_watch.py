"""Why nothing comes on a topic: nobody publishes it, as another type, or with another quality of service."""

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
        topic: As it is subscribed to.
        kind: Type of its messages.
        profile: Quality of service of the subscription.
    """

    topic: str
    kind: type
    profile: QoSProfile


class StreamWatch:
    """Asks the graph about the streams of a node, when one of them is silent.

    Args:
        node: The subscriber.
        streams: By the name that people know them by.
    """

    def __init__(self, node: Node, streams: Mapping[str, Stream]):
        self._node = node
        self._streams = dict(streams)

    def silence(self, name: str) -> str:
        """Why nothing comes on a stream, as far as the graph says; else an empty text."""
        stream = self._streams.get(name)
        return "" if stream is None else publication_problem(self._node, stream)


def publication_problem(node: Node, stream: Stream) -> str:
    """What is wrong with how a topic is published; empty if nothing is."""
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
    """Why the time of a node stands still; empty if it does not."""
    clock: Any = node.get_clock()
    if not clock.ros_time_is_active or clock.now().nanoseconds:
        return ""
    publishers = node.count_publishers("/clock")
    cause = "nobody publishes /clock" if not publishers else "nothing came on /clock yet"
    return f"{USE_SIM_TIME} is true, and {cause}"


def type_name(kind: type) -> str:
    """A message type as the graph names it, such as ``sensor_msgs/msg/Image``."""
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
