"""Synchronization of streams: the newest samples, handed out together when their times match."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

#: Unless said otherwise: oldest observation that is decided on, and most between its streams [s].
MAX_AGE_S, MAX_SKEW_S = 0.5, 0.1

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot(Generic[T]):
    """One sample per stream, acquired within the permitted skew.

    Attributes:
        values: Stream to sample, in the order of the streams.
        stamp_ns: Acquisition time of the oldest sample [ns, node clock].
        skew_ns: Time from the oldest to the newest sample [ns].
    """

    values: Mapping[str, T]
    stamp_ns: int
    skew_ns: int


@dataclass
class StreamCounts:
    """What happened to the samples of one stream.

    Attributes:
        received: Number of samples.
        superseded: Replaced by a newer one before use in a snapshot (fast stream, or slow consumer).
        out_of_order: Dropped, because not newer than the sample at hand.
        unusable: Dropped, because their content was not as expected.
    """

    received: int = 0
    superseded: int = 0
    out_of_order: int = 0
    unusable: int = 0


@dataclass
class _Slot(Generic[T]):
    stamp_ns: int | None = None
    value: T | None = None
    used: bool = True
    late_ns: int = 0
    fault: str = ""
    counts: StreamCounts = field(default_factory=StreamCounts)


class StreamSync(Generic[T]):
    """Keep one sample per stream; replace old samples, never queue them.

    Staleness is judged by acquisition stamps, because drivers deliver images 100 ms late and more. Not
    thread-safe: its owner locks.

    Args:
        streams: Names of the streams that make a snapshot.
        max_age_ns: Oldest permitted sample when a snapshot is taken [ns].
        max_skew_ns: Largest permitted time between the oldest and the newest sample [ns].
        permits_ahead: Whether samples may be ahead of the clock: a simulated clock may lag behind them.
    """

    def __init__(
        self, streams: Sequence[str], max_age_ns: int, max_skew_ns: int, *, permits_ahead: bool = False
    ):
        self.max_age_ns = max_age_ns
        self.max_skew_ns = max_skew_ns
        self._permits_ahead = permits_ahead
        self._slots: dict[str, _Slot[T]] = {stream: _Slot() for stream in streams}
        self._taken_ns: int | None = None

    def put(self, stream: str, stamp_ns: int, value: T, now_ns: int | None = None) -> bool:
        """Store a sample; return False if it is not newer than the one at hand.

        Args:
            stream: Name of its stream.
            stamp_ns: Acquisition time [ns, node clock].
            value: The sample.
            now_ns: Arrival time [ns, node clock] if known, to tell a late sample from an old one.

        Raises:
            KeyError: the stream is unknown.
        """
        slot = self._slots[stream]
        slot.counts.received += 1
        slot.fault = ""
        if self._is_overtaken(stamp_ns, slot.stamp_ns):
            slot.counts.out_of_order += 1
            return False
        if not slot.used:
            slot.counts.superseded += 1
        slot.stamp_ns, slot.value, slot.used = stamp_ns, value, False
        slot.late_ns = 0 if now_ns is None else now_ns - stamp_ns
        return True

    def reject(self, stream: str, reason: str) -> None:
        """Count an unusable sample; ``problems`` reports ``reason`` until a good one comes."""
        slot = self._slots[stream]
        slot.counts.received += 1
        slot.counts.unusable += 1
        slot.fault = reason

    def take(self, now_ns: int) -> Snapshot[T] | None:
        """Return the newest snapshot; None while there are problems, or a stream has nothing new.

        So there are as many snapshots as samples of the slowest stream: a fast one, such as joint states,
        does not repeat the same images.
        """
        if any(slot.used for slot in self._slots.values()):
            return None
        newest_ns = max(
            (slot.stamp_ns for slot in self._slots.values() if slot.stamp_ns is not None), default=0
        )
        # Do not wait for the clock: a simulated world may wait for this very snapshot.
        if self.problems(max(now_ns, newest_ns) if self._permits_ahead else now_ns):
            return None
        stamps = [slot.stamp_ns for slot in self._slots.values() if slot.stamp_ns is not None]
        oldest = min(stamps)
        # A stream that went back must not stop the snapshots of the others.
        if self._is_overtaken(oldest, self._taken_ns):
            return None
        self._taken_ns = oldest
        for slot in self._slots.values():
            slot.used = True
        values = {stream: slot.value for stream, slot in self._slots.items() if slot.value is not None}
        return Snapshot(values=values, stamp_ns=oldest, skew_ns=max(stamps) - oldest)

    def _is_overtaken(self, stamp_ns: int, newest_ns: int | None) -> bool:
        # A sample behind by more than any age permits was not overtaken: the clock was set back, and the
        # sample at hand is from before that, although it came after ``reset``.
        return newest_ns is not None and 0 <= newest_ns - stamp_ns <= self.max_age_ns

    def problems(self, now_ns: int, silence: Callable[[str], str] = lambda stream: "") -> list[str]:
        """Return why there is no usable snapshot, one line per stream; empty if there is one.

        Args:
            now_ns: [ns, node clock].
            silence: Returns why nothing came on a stream.
        """
        stamps = [slot.stamp_ns for slot in self._slots.values() if slot.stamp_ns is not None]
        # A stream ahead of the clock does not make the others late.
        newest_ns = max((stamp_ns for stamp_ns in stamps if stamp_ns - now_ns <= self.max_age_ns), default=0)
        lines = []
        for stream, slot in self._slots.items():
            problem = self._problem(slot, now_ns, newest_ns)
            if slot.counts.received == 0 and (cause := silence(stream)):
                problem += f"; {cause}"
            if problem:
                lines.append(f"{stream}: {problem}")
        return lines

    def _problem(self, slot: _Slot[T], now_ns: int, newest_ns: int) -> str:
        limit = f"limit {self.max_age_ns / 1e9:g} s"
        if slot.stamp_ns is None:
            return slot.fault or "nothing received yet"
        age_ns = now_ns - slot.stamp_ns
        if age_ns > self.max_age_ns:
            if slot.fault:
                return slot.fault
            if slot.late_ns > self.max_age_ns:
                if slot.stamp_ns == 0:
                    return "its samples have no stamp"
                late = f"it comes {slot.late_ns / 1e9:.3f} s after its stamp, {limit}"
                return f"{late}; is its driver slow, do the clocks agree?"
            return f"{age_ns / 1e9:.3f} s old, {limit}"
        if -age_ns > self.max_age_ns:
            return f"stamped {-age_ns / 1e9:.3f} s ahead of the node clock, {limit}; do the clocks agree?"
        if newest_ns - slot.stamp_ns > self.max_skew_ns:
            behind_s, skew = (newest_ns - slot.stamp_ns) / 1e9, f"limit {self.max_skew_ns / 1e9:g} s"
            return f"{behind_s:.3f} s behind the newest stream, {skew}"
        return ""

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Return the age of the sample at hand per stream [s]; NaN before the first one."""
        return {
            stream: float("nan") if slot.stamp_ns is None else (now_ns - slot.stamp_ns) / 1e9
            for stream, slot in self._slots.items()
        }

    @property
    def counts(self) -> Mapping[str, StreamCounts]:
        """Counts per stream since creation."""
        return {stream: slot.counts for stream, slot in self._slots.items()}

    def has_unused(self, stream: str) -> bool:
        """Return whether the sample at hand was not in a snapshot yet."""
        slot = self._slots[stream]
        return slot.stamp_ns is not None and not slot.used

    def rearm(self) -> None:
        """Let ``take`` hand out the samples at hand once more."""
        self._taken_ns = None
        for slot in self._slots.values():
            slot.used = slot.stamp_ns is None

    def reset(self) -> None:
        """Empty all slots after a backward jump of the clock; keep counts."""
        self._taken_ns = None
        for slot in self._slots.values():
            slot.stamp_ns, slot.value, slot.used = None, None, True
