"""Where a robot's topics are in a recording: its namespace, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncvla_ros.data.robot_policy import Source
from asyncvla_ros.robot.contract import CameraSource, JointStateSource
from asyncvla_ros.types import AsyncVLAError

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
JOINT_STATE, POSE = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped"


def resolve(topic: str, namespace: str, node: str = "controller") -> str:
    """Return the full name of a topic of a contract.

    Args:
        topic: As the contract has it: absolute, relative, or private to ``node``.
        namespace: Of the robot, such as ``/left``; empty: none.
        node: Whose private topics begin with ``~/``.
    """
    if topic.startswith("/"):
        return topic
    return f"{namespace}/{topic.replace('~', node, 1) if topic.startswith('~/') else topic}"


@dataclass(frozen=True)
class RobotTopics:
    """A robot in a recording.

    Attributes:
        namespace: Of its nodes, such as ``/left``; empty: none.
        streams: Topic in the recording to stream, see ``robot_policy.observed``.
    """

    namespace: str
    streams: Mapping[str, str]


def find_robot(
    recorded: Mapping[str, set[str]], sources: Mapping[str, Source], namespace: str | None = None
) -> RobotTopics:
    """Find the topics that observations are made of.

    Args:
        recorded: Topic to types, of a recording.
        sources: Stream to source.
        namespace: Of the robot; None: the one that has all topics.

    Raises:
        AsyncVLAError: topics are missing or of another type, or several namespaces have all.
    """
    if namespace is not None:
        named = "/" + namespace.strip("/") if namespace.strip("/") else ""
        streams, missing = _streams(recorded, sources, named)
        if missing:
            raise AsyncVLAError(_missing_text(missing, recorded))
        return RobotTopics(named, streams)
    found = {one: _streams(recorded, sources, one) for one in _namespaces(recorded, sources)}
    whole = {one: streams for one, (streams, missing) in found.items() if not missing}
    if len(whole) > 1 and len({tuple(streams) for streams in whole.values()}) > 1:
        names = ", ".join(sorted(one or "/" for one in whole))
        raise AsyncVLAError(f"several robots are recorded, in {names}; choose one with --namespace")
    if not whole:
        # Of the namespace that has most.
        missing = min((missing for _, missing in found.values()), key=len)
        raise AsyncVLAError(_missing_text(missing, recorded))
    name, streams = next(iter(whole.items()))
    return RobotTopics(name, streams)


def _namespaces(recorded: Mapping[str, set[str]], sources: Mapping[str, Source]) -> list[str]:
    """Return the namespaces in which at least one topic is; the root always."""
    ends = ["/" + source.topic for source in sources.values() if not source.topic.startswith("/")]
    names = {
        topic.removesuffix("/compressed").removesuffix(end)
        for topic in recorded
        for end in ends
        if topic.removesuffix("/compressed").endswith(end)
    }
    return sorted({"", *names})


def _streams(
    recorded: Mapping[str, set[str]], sources: Mapping[str, Source], namespace: str
) -> tuple[dict[str, str], list[str]]:
    """Return the streams by topic, and what is missing."""
    streams, missing = {}, []
    for stream, source in sources.items():
        topic = resolve(source.topic, namespace)
        kinds = _kinds(source)
        # What image_transport adds; recordings often have the compressed images alone.
        places = [topic, f"{topic}/compressed"] if isinstance(source, CameraSource) else [topic]
        fitting = [place for place in places if recorded.get(place, set()) & set(kinds)]
        if fitting:
            streams[fitting[0]] = stream
        elif topic in recorded:
            types = ", ".join(sorted(recorded[topic]))
            missing.append(f"{topic} is recorded as {types}, expected {' or '.join(kinds)}")
        else:
            name = f"camera {stream}" if isinstance(source, CameraSource) else kinds[0]
            missing.append(f"{topic} ({name}) is not recorded")
    return streams, missing


def _kinds(source: Source) -> tuple[str, ...]:
    if isinstance(source, CameraSource):
        return (IMAGE, COMPRESSED_IMAGE)
    return (JOINT_STATE,) if isinstance(source, JointStateSource) else (POSE,)


def _missing_text(missing: list[str], recorded: Mapping[str, set[str]]) -> str:
    return f"{'; '.join(missing)}; there are: {listing(recorded)}"


def listing(recorded: Mapping[str, set[str]]) -> str:
    """List what is recorded, in words."""
    there = (f"{topic} ({', '.join(sorted(kinds))})" for topic, kinds in sorted(recorded.items()))
    return ", ".join(there) or "no topics"
