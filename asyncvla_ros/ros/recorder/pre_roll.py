"""What came before an episode began, of which it needs the newest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from asyncvla_ros.ros.recorder.channels import LATCHED
from asyncvla_ros.ros.recorder.episode_writer import Channel

# So long [s], and so much memory at most [bytes].
SPAN_S, LARGEST = 1.0, 128 * 2**20


@dataclass(frozen=True)
class ReceivedMessage:
    """A message as it came.

    Attributes:
        channel: Its topic.
        log_ns: When it came [ns, node clock].
        stamp_ns: Of its header, else ``log_ns`` [ns].
        content: Serialized.
        at_s: When it came [s, steady].
    """

    channel: Channel
    log_ns: int
    stamp_ns: int
    content: bytes
    at_s: float


class PreRoll:
    """The newest messages, and the last word of each topic that is published once.

    An observation may come before the news that an episode has begun.
    """

    def __init__(self) -> None:
        self._newest: deque[ReceivedMessage] = deque()
        self._size = 0
        self._latched: dict[str, deque[ReceivedMessage]] = {}

    def add(self, one: ReceivedMessage, is_latched: bool) -> None:
        """Keeps a message."""
        if is_latched:
            topic = one.channel.topic
            self._latched.setdefault(topic, deque(maxlen=LATCHED.get(topic, 1))).append(one)
            return
        self._newest.append(one)
        self._size += len(one.content)
        while self._newest and (self._size > LARGEST or one.at_s - self._newest[0].at_s > SPAN_S):
            self._size -= len(self._newest.popleft().content)

    def take(self, now_ns: int, since_ns: int = 0) -> Iterator[tuple[Channel, int, bytes]]:
        """What an episode that begins at ``now_ns`` [ns] is written first; it is kept no longer.

        Args:
            now_ns: [ns, node clock].
            since_ns: What has a stamp before that [ns] belongs to what was before.
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
        """Forgets all but what is published once."""
        self._newest.clear()
        self._size = 0
