"""Receives topics serialized, with a quality of service that fits their publishers."""

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
    """Subscriptions whose quality of service follows that of the publishers.

    Args:
        node: Owner of the subscriptions.
        topics: Topics to subscribe to.
        take: Called with each message: its topic, its channel, its content, and how many messages of its
            publisher were lost before it.
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
        """All topics, as they are written."""
        return list(self._channels.values())

    def look(self) -> None:
        """Subscribe again where the current publishers need another quality of service."""
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
        """Destroy all subscriptions."""
        for subscription, _ in self._heard.values():
            self._node.destroy_subscription(subscription)
        self._heard.clear()

    def _subscription(self, one: Wanted, fitting: QoSProfile) -> Any:
        hear = partial(self._hear, one)
        # rclpy passes the number of a message only to a callback that requires it, and not in Humble.
        tells_number = hasattr(Subscription, "CallbackType")
        callback = hear if tells_number else partial(hear, info={})
        kind = message_class(one.kind)
        return self._node.create_subscription(kind, one.topic, callback, fitting, raw=True)

    def _hear(self, one: Wanted, content: bytes, info: Any) -> None:
        number = info.get("publication_sequence_number")
        self._take(one, self._channels[one.topic], content, self._lost(one, number))

    def _lost(self, one: Wanted, number: int | None) -> int:
        """Return how many messages were lost before this one: a publisher numbers its messages."""
        if number is None:
            return 0
        before, self._numbers[one.topic] = self._numbers.get(one.topic), number
        lost = 0 if before is None else max(0, number - before - 1)
        return lost if lost and self._node.count_publishers(one.topic) == 1 else 0
