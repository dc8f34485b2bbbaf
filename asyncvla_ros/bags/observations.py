"""What a live node would have seen of a recording: the same slots, filled at the times of the recording."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import Any

from asyncvla_ros.bags.reader import BagReader, Recorded
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.data.robot_policy import Source, store
from asyncvla_ros.observe.stream_sync import Snapshot, StreamSync

CLOCK, CLOCK_TYPE = "/clock", "rosgraph_msgs/msg/Clock"
# Stamps this far from the time of recording are of another clock, such as a simulated one [ns].
OTHER_CLOCK_NS = 60 * 10**9
# A stamp this far from those before it is of a clock that was set, or damaged [ns].
JUMP_NS = 30 * 10**9
# So far back at least a clock is set, when it is set back [ns].
SET_BACK_NS = 10**9
# Messages that are looked at to find that out.
LOOKED_AT = 400
# An interval so many times as long as the usual one is a gap.
GAP = 3.0
USUAL = 101
# Gaps, and reasons of drops, that are listed one by one.
LISTED = 100


@dataclass(frozen=True)
class Gap:
    """A time without samples of a stream; ``begin_ns`` and ``end_ns`` are stamps around it [ns]."""

    stream: str
    begin_ns: int
    end_ns: int


@dataclass
class StreamRecord:
    """What became of the messages of one stream.

    Attributes:
        received: Messages in the recording.
        gaps: How often the stream was silent.
        dropped: Reason to number of messages that no observation used.
        reasons: Why messages were unusable, in words, and how often.
    """

    received: int = 0
    gaps: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def used(self) -> int:
        """Messages that were part of an observation."""
        return self.received - sum(self.dropped.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the record as reports keep it."""
        return {
            "received": self.received,
            "used": self.used,
            "gaps": self.gaps,
            "dropped": dict(self.dropped),
            "reasons": dict(self.reasons),
        }


class RecordedClock:
    """The clock of a node that would have been there: of the recording, of ``/clock``, or of the stamps.

    Args:
        bag: The recording.
        topics: Whose stamps count.

    Attributes:
        problem: What is odd about the stamps; empty: nothing.
    """

    def __init__(self, bag: BagReader, topics: Collection[str]):
        self.problem = ""
        self.now_ns = 0
        self._is_stamped = self._is_published = False
        offsets = [
            one.log_ns - to_ns(one.message.header.stamp) for one in islice(bag.messages(topics), LOOKED_AT)
        ]
        if offsets and abs(median(offsets)) > OTHER_CLOCK_NS:
            self._is_published = CLOCK_TYPE in bag.topics.get(CLOCK, set())
            self._is_stamped = not self._is_published
            source = "of /clock" if self._is_published else "of the stamps"
            self.problem = (
                f"stamps are {-median(offsets) / 1e9:+.1f} s from the time of recording, as those of a "
                f"simulated clock: the time {source} counts"
            )

    @property
    def topics(self) -> set[str]:
        """What must be read beside the streams."""
        return {CLOCK} if self._is_published else set()

    def advance(self, one: Recorded, stamp_ns: int | None) -> bool:
        """Advance to a message; return whether time was set back.

        Args:
            one: The message.
            stamp_ns: Of its header [ns]; None: it has none.
        """
        before = self.now_ns
        if self._is_published:
            told_ns = to_ns(one.message.clock) if one.topic == CLOCK else None
        else:
            told_ns = stamp_ns if self._is_stamped else one.log_ns
        if told_ns is not None:
            # A little back is no clock that was set: messages are not always in order.
            is_set_back = before - told_ns > SET_BACK_NS
            self.now_ns = told_ns if is_set_back else max(before, told_ns)
        return self.now_ns < before


class Observations:
    """The slots of a node, fed with what was recorded.

    Args:
        sources: Stream to source, see ``robot_policy.observed``.
        topics: Topic in the recording to stream.
        base_frame: Of poses.
        max_age_ns: See ``StreamSync`` [ns].
        max_skew_ns: See ``StreamSync`` [ns].
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        topics: Mapping[str, str],
        base_frame: str,
        max_age_ns: int,
        max_skew_ns: int,
    ):
        self._sources, self._topics, self._base_frame = sources, topics, base_frame
        self._sync: StreamSync[Any] = StreamSync(list(sources), max_age_ns, max_skew_ns, permits_ahead=True)
        self._newest: dict[str, int] = {}
        self._intervals: dict[str, deque[int]] = {stream: deque(maxlen=USUAL) for stream in sources}
        self._reasons: dict[str, Counter[str]] = {stream: Counter() for stream in sources}
        self._gap_counts: Counter[str] = Counter()
        self.gaps: list[Gap] = []
        self.now_ns = 0

    def put(self, stream: str, stamp_ns: int, sample: Any) -> None:
        """Take a sample, as a node's thread does."""
        self._note_gap(stream, stamp_ns)
        self._sync.put(stream, stamp_ns, sample, self.now_ns)

    def reject(self, stream: str, reason: str) -> None:
        """Count a sample that cannot be used."""
        self._sync.reject(stream, reason)
        reasons = self._reasons[stream]
        if reason in reasons or len(reasons) < LISTED:
            reasons[reason] += 1

    def feed(self, one: Recorded, now_ns: int) -> None:
        """Take a message that came at ``now_ns`` [ns]; ignore other topics."""
        self.now_ns = now_ns
        stream = self._topics.get(one.topic)
        if stream is not None:
            store(one.message, stream, self._sources[stream], self._base_frame, slots=self)

    def take(self, *, again: bool = False) -> Snapshot[Any] | None:
        """Return the newest observation, or None while there is none; see ``StreamSync.take``.

        Args:
            again: Whether samples may be used more than once.
        """
        if again:
            self._sync.rearm()
        return self._sync.take(self.now_ns)

    def problems(self) -> list[str]:
        """Explain why there is no observation now."""
        return self._sync.problems(self.now_ns)

    def reset(self) -> None:
        """Drop all samples, after time was set back."""
        self._sync.reset()
        self._newest.clear()

    def _note_gap(self, stream: str, stamp_ns: int) -> None:
        newest = self._newest.get(stream)
        self._newest[stream] = stamp_ns if newest is None else max(newest, stamp_ns)
        if newest is None or stamp_ns <= newest:
            return
        intervals, interval = self._intervals[stream], stamp_ns - newest
        if len(intervals) > USUAL // 10 and interval > GAP * median(intervals):
            self._gap_counts[stream] += 1
            self.gaps = heapq.nlargest(
                LISTED, [*self.gaps, Gap(stream, newest, stamp_ns)], key=lambda gap: gap.end_ns - gap.begin_ns
            )
        intervals.append(interval)

    def records(self, undecoded: Mapping[str, int]) -> dict[str, StreamRecord]:
        """Count what became of the messages of each stream.

        Args:
            undecoded: Topic to messages that could not be decoded.
        """
        records = {}
        topics = {stream: topic for topic, stream in self._topics.items()}
        for stream, counts in self._sync.counts.items():
            lost = undecoded.get(topics[stream], 0)
            unused = int(self._sync.has_unused(stream))
            dropped = Counter(
                {
                    "superseded": counts.superseded,
                    "out of order": counts.out_of_order,
                    "unusable": counts.unusable,
                    "not decoded": lost,
                    "without the others": unused,
                }
            )
            records[stream] = StreamRecord(
                counts.received + lost, self._gap_counts[stream], +dropped, self._reasons[stream]
            )
        return records


def by_stamp(messages: Iterable[Recorded], span_ns: int) -> Iterator[tuple[int, Recorded]]:
    """Yield stamps [ns] and their messages, in the order of the stamps.

    Args:
        messages: In the order in which they came; those without a header count as of then.
        span_ns: So much later than others of its stamp a message may come at most [ns].
    """
    waiting: list[tuple[int, int, Recorded]] = []
    newest_ns: int | None = None
    for number, one in enumerate(messages):
        stamp_ns = one.stamp_ns
        if newest_ns is not None and not -JUMP_NS < stamp_ns - newest_ns < JUMP_NS:
            yield from _drained(waiting, None)
            newest_ns = None
        newest_ns = stamp_ns if newest_ns is None else max(newest_ns, stamp_ns)
        heapq.heappush(waiting, (stamp_ns, number, one))
        yield from _drained(waiting, newest_ns - span_ns)
    yield from _drained(waiting, None)


def _drained(
    waiting: list[tuple[int, int, Recorded]], before_ns: int | None
) -> Iterator[tuple[int, Recorded]]:
    """Take what is older than ``before_ns`` [ns]; None takes all."""
    while waiting and (before_ns is None or waiting[0][0] < before_ns):
        stamp_ns, _, first = heapq.heappop(waiting)
        yield stamp_ns, first
