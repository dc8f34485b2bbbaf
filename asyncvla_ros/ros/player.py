"""``asyncvla play``: plays a recording to running nodes, where rosbag2 is not installed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import QosDurability
from rosgraph_msgs.msg import Clock

from asyncvla_ros.bags.reader import BagReader, Recorded
from asyncvla_ros.bags.robot_topics import find_robot, resolve
from asyncvla_ros.data.robot_policy import observed
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import to_time
from asyncvla_ros.ros.play_settings import PlaySettings
from asyncvla_ros.ros.recorder.channels import message_class
from asyncvla_ros.ros.recorder.keyboard import Keyboard
from asyncvla_ros.ros.side_node import side_node
from asyncvla_ros.types import AsyncVLAError

# Topics that are played in addition to what a policy observes.
SCENERY = ("/tf", "/tf_static", "robot_description")
# Longest wait for subscribers; longest time between two messages on /clock [s].
DISCOVERY_S, CLOCK_S = 5.0, 0.01
DEPTH = 50


class Pace:
    """Waits until a time of the recording has come; can be paused.

    Args:
        rate: Times real time.
    """

    def __init__(self, rate: float):
        self._rate = rate
        self._changed = threading.Condition()
        self._is_held = self._is_over = False
        self._played_ns, self._since_s = 0, time.monotonic()

    def begin(self, at_ns: int) -> None:
        """Continue from ``at_ns`` [ns of the recording]."""
        with self._changed:
            self._played_ns, self._since_s = at_ns, time.monotonic()

    def hold(self) -> bool:
        """Pause or resume; return whether it is paused now."""
        with self._changed:
            self._played_ns, self._since_s = self._now_ns(), time.monotonic()
            self._is_held = not self._is_held
            self._changed.notify_all()
            return self._is_held

    def end(self) -> None:
        """End every wait, now and later."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether it was ended."""
        return self._is_over

    def wait(self, at_ns: int, tick: Callable[[int], None]) -> bool:
        """Wait until ``at_ns``; return False if it was ended before.

        Args:
            at_ns: Time of the recording [ns].
            tick: Called with the time of the recording [ns], often.
        """
        while True:
            with self._changed:
                if self._is_over:
                    return False
                now_ns = self._now_ns()
                if now_ns >= at_ns:
                    return True
                left_s = CLOCK_S if self._is_held else 1e-9 * (at_ns - now_ns) / self._rate
                self._changed.wait(min(CLOCK_S, left_s))
                now_ns = min(at_ns, self._now_ns())
            tick(now_ns)

    def _now_ns(self) -> int:
        passed_s = 0.0 if self._is_held else time.monotonic() - self._since_s
        return self._played_ns + round(1e9 * self._rate * passed_s)


def play(bag: Path, robot: str | None, settings: PlaySettings) -> None:
    """Play a recording until its end, or until the key q.

    Args:
        bag: The recording.
        robot: Contract, name or path, of which only what a policy observes is played; None: play everything.
        settings: Rate, start, loop and namespace.

    Raises:
        AsyncVLAError: it cannot be read, or has nothing to play.
    """
    with BagReader(bag) as reader, side_node("player") as (node, _), ExitStack() as stack:
        topics = _topics(reader, robot, settings)
        pace = Pace(settings.rate)
        publishers = _publishers(node, reader, topics)
        clock = node.create_publisher(Clock, "/clock", qos.LOCKSTEP_CLOCK)
        if Keyboard.is_there():
            stack.enter_context(Keyboard(lambda key: _on_key(key, pace)))
        _wait_for_listeners(list(publishers.values()))
        while True:
            for one in _paced(reader, topics, settings, pace, clock=clock):
                if one.topic in publishers:
                    publishers[one.topic].publish(one.message)
            if not settings.loop or pace.is_over:
                break
        for publisher in publishers.values():
            publisher.wait_for_all_acked()
        for problem in reader.problems:
            print(f"note: {problem}")


def _topics(reader: BagReader, robot: str | None, settings: PlaySettings) -> set[str]:
    if robot is None:
        return {topic for topic in reader.topics if topic != "/clock"}
    contract = load_robot(robot_file(robot))
    sources = observed(contract, [camera.key for camera in contract.cameras])
    found = find_robot(reader.topics, sources, settings.namespace)
    scenery = {resolve(topic, found.namespace) for topic in SCENERY}
    return set(found.streams) | (scenery & set(reader.topics))


def _publishers(node: Any, reader: BagReader, topics: set[str]) -> dict[str, Any]:
    """Create a publisher for each topic whose message type is installed; name the others."""
    kinds = {topic: message_class(sorted(reader.topics[topic])[0]) for topic in sorted(topics)}
    unknown = [topic for topic, kind in kinds.items() if kind is None]
    if unknown:
        print(f"not played, for its messages are not installed: {', '.join(unknown)}")
    known = {topic: kind for topic, kind in kinds.items() if kind is not None}
    return {topic: _publisher(node, reader, topic, kind) for topic, kind in known.items()}


def _publisher(node: Any, reader: BagReader, topic: str, kind: type) -> Any:
    is_latched = reader.durability(topic) == QosDurability.TRANSIENT_LOCAL
    durability = DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE
    profile = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
    return node.create_publisher(kind, topic, profile)


def _wait_for_listeners(publishers: list[Any]) -> None:
    """Wait until each topic has a subscriber, at most as long as discovery takes; name those without.

    Raises:
        AsyncVLAError: there are no topics.
    """
    if not publishers:
        raise AsyncVLAError("nothing to play")
    ticker, deadline = threading.Event(), time.monotonic() + DISCOVERY_S
    while time.monotonic() < deadline:
        if all(publisher.get_subscription_count() for publisher in publishers):
            return
        ticker.wait(0.05)
    silent = [one.topic_name for one in publishers if not one.get_subscription_count()]
    print(f"nobody listens to {', '.join(silent)}")


def _paced(
    reader: BagReader, topics: set[str], settings: PlaySettings, pace: Pace, clock: Any
) -> Iterator[Recorded]:
    """Yield each message when its time has come, after the clock was published."""
    told_ns = -1

    def tell(now_ns: int) -> None:
        nonlocal told_ns
        if now_ns != told_ns:
            told_ns = now_ns
            clock.publish(Clock(clock=to_time(now_ns)))

    begin_ns = reader.start_ns + round(1e9 * settings.start_s)
    pace.begin(begin_ns)
    for one in reader.serialized(topics):
        if one.log_ns < begin_ns:
            continue
        if not pace.wait(one.log_ns, tell):
            return
        tell(one.log_ns)
        yield one


def _on_key(key: str, pace: Pace) -> None:
    if key == " ":
        print("held" if pace.hold() else "goes on")
    elif key == "q":
        pace.end()
