"""Surveys a running robot as policy and controller would see it: each stream, each output, the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image

from asyncvla_ros.data.camera_message import decode_image
from asyncvla_ros.data.message_content import finite_state, to_ns
from asyncvla_ros.data.robot_policy import Source
from asyncvla_ros.observe.stream_sync import MAX_AGE_S
from asyncvla_ros.robot.contract import CameraSource, RobotContract
from asyncvla_ros.ros.controller.output_messages import ACTION_ADAPTERS, TOPIC_ADAPTERS
from asyncvla_ros.ros.side_node import side_node
from asyncvla_ros.ros.source_streams import stream_of
from asyncvla_ros.ros.stream_watch import Stream, publication_problem
from asyncvla_ros.types import ContractError

# A policy with default parameters rejects samples that are older, or further ahead, than this [s].
MAX_OFFSET_S = MAX_AGE_S
# A stream below this share of the action rate is doubtful: the slowest stream limits inference.
SLOW = 0.9


@dataclass(frozen=True)
class Look:
    """What was seen of one stream or output.

    Attributes:
        name: A camera's key, or the topic.
        is_fault: Whether the robot cannot be driven like this.
        is_doubtful: Whether this is possibly not intended.
        text: What was found, and what was expected.
    """

    name: str
    text: str
    is_fault: bool = False
    is_doubtful: bool = False


@dataclass
class _Tally:
    stream: Stream
    source: Source
    came_ns: list[int] = field(default_factory=list)
    offsets_s: list[float] = field(default_factory=list)
    newest: Any = None


def survey_robot(robot: RobotContract, reliability: str, seconds: float) -> Iterator[Look]:
    """Listen to everything that a contract names, and yield what was seen of each.

    Args:
        robot: Names the topics.
        reliability: QoS of the subscriptions to cameras and robot state, as in policy and controller.
        seconds: How long to listen [s, wall time].
    """
    with side_node("asyncvla_doctor") as (node, executor):
        tallies = {name: _subscribe(node, source, reliability) for name, source in _sources(robot)}
        began_s = time.monotonic()
        while (left_s := began_s + seconds - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left_s)
        for name, tally in tallies.items():
            yield _look(node, robot, name, tally, seconds=seconds)
        for output in robot.outputs:
            if output.adapter in TOPIC_ADAPTERS:
                yield _look_at_output(node, output.topic)
            elif output.adapter in ACTION_ADAPTERS:
                yield _look_at_action(node, output.topic)
        if node.count_publishers("/clock"):
            yield Look(
                "/clock", "a simulated clock is published: give every node use_sim_time", is_doubtful=True
            )


def _sources(robot: RobotContract) -> list[tuple[str, Source]]:
    cameras = [(camera.key, camera) for camera in robot.cameras]
    return [*cameras, *((source.topic, source) for source in robot.state)]


def _subscribe(node: Node, source: Source, reliability: str) -> _Tally:
    stream = stream_of(source, reliability)
    tally = _Tally(stream, source)
    node.create_subscription(stream.kind, stream.topic, partial(_note, tally), stream.profile)
    return tally


def _note(tally: _Tally, message: Any) -> None:
    tally.newest = message
    tally.came_ns.append(time.monotonic_ns())
    tally.offsets_s.append((time.time_ns() - to_ns(message.header.stamp)) / 1e9)


def _look(node: Node, robot: RobotContract, name: str, tally: _Tally, seconds: float) -> Look:
    topic = tally.stream.topic
    if not tally.came_ns:
        cause = publication_problem(node, tally.stream) or "it has a publisher that fits"
        return Look(name, f"{topic}: nothing in {seconds:g} s; {cause}", is_fault=True)
    try:
        content = _content(robot, tally)
    except ContractError as error:
        return Look(name, str(error), is_fault=True)
    # The rate counts from the first sample: discovery may have taken some of the time.
    lasted_s = (tally.came_ns[-1] - tally.came_ns[0]) / 1e9
    rate_hz = (len(tally.came_ns) - 1) / lasted_s if lasted_s else 0.0
    offset_s = statistics.median(tally.offsets_s)
    text = f"{topic}: {rate_hz:.1f} Hz, {content}, stamped {_offset(offset_s)}"
    if abs(offset_s) > MAX_OFFSET_S and not node.count_publishers("/clock"):
        text += f", expected within {MAX_OFFSET_S:g} s: do the clocks agree, is it stamped at all?"
        return Look(name, text, is_fault=True)
    is_slow = rate_hz < SLOW * robot.action_hz and not isinstance(tally.source, CameraSource)
    text += f", expected {robot.action_hz:g} Hz or more" * is_slow
    return Look(name, text, is_doubtful=is_slow)


def _offset(offset_s: float) -> str:
    return f"{1e3 * offset_s:.0f} ms ago" if offset_s >= 0 else f"{-1e3 * offset_s:.0f} ms ahead"


def _content(robot: RobotContract, tally: _Tally) -> str:
    message, source = tally.newest, tally.source
    if isinstance(source, CameraSource):
        height, width = decode_image(message, source.key).shape[:2]
        kind = message.encoding if isinstance(message, Image) else message.format or "compressed"
        return f"{width}x{height} {kind}"
    finite_state(message, source, robot.base_frame)
    return f"{len(source.names)} numbers"


def _look_at_output(node: Node, topic: str) -> Look:
    name = node.resolve_topic_name(topic)
    listeners = _names(node.get_subscriptions_info_by_topic(name))
    others = _names(node.get_publishers_info_by_topic(name))
    heard = f"obeyed by {', '.join(listeners)}" if listeners else "nobody listens: is the driver running?"
    commanded = f"; commanded by {', '.join(others)}" if others else ""
    is_doubtful = bool(others) and others != ["/controller"]
    return Look(topic, f"{heard}{commanded}", is_fault=not listeners, is_doubtful=is_doubtful)


def _look_at_action(node: Node, topic: str) -> Look:
    status = f"{node.resolve_topic_name(topic)}/_action/status"
    servers = _names(node.get_publishers_info_by_topic(status))
    text = (
        f"served by {', '.join(servers)}" if servers else "nobody serves it: is the gripper's driver running?"
    )
    return Look(topic, text, is_fault=not servers)


def _names(endpoints: Any) -> list[str]:
    names = {f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in endpoints}
    return sorted(names)
