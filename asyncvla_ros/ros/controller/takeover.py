"""Other commanders of the arm: publishers on the outputs that are not this node's."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

# What the middleware says of a publisher that it knows before its node.
_UNKNOWN = "_NODE_NAME_UNKNOWN_"


def other_publishers(node: Node, topics: Iterable[str]) -> list[str]:
    """Name the publishers on these topics that are not the node's own; empty if it is alone.

    rclpy does not say which endpoint of the graph is which publisher, so the node's own ones are counted: a
    second node of the same name is one too many. It takes some 50 µs per topic. A process that was killed
    stays in the graph of those that knew it until its lease is over, 20 s with Fast DDS. Whoever sends goals
    to an action of the driver is no publisher, and not seen here.

    Args:
        node: Owner of the outputs.
        topics: Their full names, as ``publisher.topic_name`` has them.

    Returns:
        For each of them ``/namespace/name (type) on topic``.
    """
    own = [publisher.topic_name for publisher in node.publishers]
    return [
        f"{_name(other, node)} ({other.topic_type}) on {topic}"
        for topic in topics
        for other in _others(node.get_publishers_info_by_topic(topic), node, own.count(topic))
    ]


def _others(endpoints: Iterable[TopicEndpointInfo], node: Node, own: int) -> list[TopicEndpointInfo]:
    """Return all but ``own`` endpoints, which have the node's name or none yet."""
    named: list[TopicEndpointInfo] = []
    nameless: list[TopicEndpointInfo] = []
    others: list[TopicEndpointInfo] = []
    for endpoint in endpoints:
        if _full_name(endpoint) == node.get_fully_qualified_name():
            named.append(endpoint)
        else:
            (nameless if endpoint.node_name == _UNKNOWN else others).append(endpoint)
    return [*named, *nameless][own:] + others


def _name(endpoint: TopicEndpointInfo, node: Node) -> str:
    if endpoint.node_name == _UNKNOWN:
        return "a node whose name is not known yet"
    name = _full_name(endpoint)
    return f"another {name}" if name == node.get_fully_qualified_name() else name


def _full_name(endpoint: TopicEndpointInfo) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
