"""Keeps the newest messages, for an episode that begins later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from asyncvla_ros.ros.recorder.channels import LATCHED
from asyncvla_ros.ros.recorder.episode_writer import Channel

# Longest time [s] and largest memory [bytes] of what is kept.
SPAN_S, LARGEST = 1.0, 128 * 2**20


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as it was received.

    Attributes:
        channel: Its topic.
        log_ns: When it was received [ns, node clock].
        stamp_ns: Stamp of its header, else ``log_ns`` [ns].
        content: The serialized message.
        at_s: When it was received [s, steady].
    """

    channel: Channel
    log_ns: int
    stamp_ns: int
    content: bytes
    at_s: float


class PreRoll:
    """The newest messages, and the last ones of each latched topic.

    An observation may arrive before the message that an episode has begun.
    """

    def __init__(self) -> None:
        self._newest: deque[ReceivedMessage] = deque()
        self._size = 0
        self._latched: dict[str, deque[ReceivedMessage]] = {}

    def add(self, one: ReceivedMessage, *, is_latched: bool) -> None:
        """Keep a message; one of a latched topic until its successor arrives."""
        if is_latched:
            topic = one.channel.topic
            self._latched.setdefault(topic, deque(maxlen=LATCHED.get(topic, 1))).append(one)
            return
        self._newest.append(one)
        self._size += len(one.content)
        while self._newest and (self._size > LARGEST or one.at_s - self._newest[0].at_s > SPAN_S):
            self._size -= len(self._newest.popleft().content)

    def take(self, now_ns: int, since_ns: int = 0) -> Iterator[tuple[Channel, int, bytes]]:
        """Yield what is written first to an episode that begins now; forget it, but for latched topics.

        Args:
            now_ns: Begin of the episode [ns, node clock].
            since_ns: Messages with an older stamp [ns] do not belong to it.
        """
        newest = [one for one in self._newest if one.stamp_ns >= since_ns]
        begin_ns = min([now_ns, *(one.log_ns for one in newest)])
        for latched in self._latched.values():
            for one in latched:
                yield one.channel, begin_ns, one.content
        for one in newest:
            yield one.channel, one.log_ns, one.content
        self.clear()

    def clear(self) -> None:
        """Forget all messages but those of latched topics."""
        self._newest.clear()
        self._size = 0
