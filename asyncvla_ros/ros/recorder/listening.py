"""Hears topics as they come, serialized, whoever publishes them with whatever quality of service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.recorder.channels import Wanted, channel, message_class, profile
from asyncvla_ros.ros.recorder.episode_writer import Channel


class Listening:
    """Subscriptions that follow those who publish.

    Args:
        node: Subscribes.
        topics: To these.
        take: Called with each message: its topic, how it is to be written, its content, and how many of its
            publisher's were lost before it.
    """

    def __init__(
        self,
        node: ManagedNode,
        topics: Sequence[Wanted],
        take: Callable[[Wanted, Channel, bytes, int], None],
    ):
        self._node, self._topics, self._take = node, topics, take
        self._heard: dict[str, tuple[Subscription[Any], QoSProfile]] = {}
        self._channels: dict[str, Channel] = {}
        self._numbers: dict[str, int] = {}
        self.look()

    @property
    def channels(self) -> list[Channel]:
        """All topics, as they are to be written."""
        return list(self._channels.values())

    def look(self) -> None:
        """Subscribes anew where those who publish now want it."""
        for one in self._topics:
            fitting = profile(self._node, one)
            if one.topic in self._heard:
                if self._heard[one.topic][1] == fitting:
                    continue
                self._node.destroy_subscription(self._heard.pop(one.topic)[0])
            topic = self._node.resolve_topic_name(one.topic)
            self._channels[one.topic] = channel(topic, one.kind, fitting)
            self._numbers.pop(one.topic, None)
            self._heard[one.topic] = self._subscription(one, fitting), fitting

    def close(self) -> None:
        """Hears nothing any more."""
        for subscription, _ in self._heard.values():
            self._node.destroy_subscription(subscription)
        self._heard.clear()

    def _subscription(self, one: Wanted, fitting: QoSProfile) -> Any:
        hear = partial(self._hear, one)
        # rclpy tells the number of a message only to a callback that cannot be called without; not in Humble.
        tells_number = hasattr(Subscription, "CallbackType")
        callback = hear if tells_number else partial(hear, info={})
        kind = message_class(one.kind)
        return self._node.create_subscription(kind, one.topic, callback, fitting, raw=True)

    def _hear(self, one: Wanted, content: bytes, info: Any) -> None:
        number = info.get("publication_sequence_number")
        self._take(one, self._channels[one.topic], content, self._lost(one, number))

    def _lost(self, one: Wanted, number: int | None) -> int:
        """Messages of one publisher are numbered: those that are left out did not arrive."""
        if number is None:
            return 0
        before, self._numbers[one.topic] = self._numbers.get(one.topic), number
        lost = 0 if before is None else max(0, number - before - 1)
        return lost if lost and self._node.count_publishers(one.topic) == 1 else 0
