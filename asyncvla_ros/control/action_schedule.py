"""Which action is due now: one index computation on integer nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk


@dataclass(frozen=True)
class ScheduledAction:
    """One action of a chunk, handed out because it is due.

    Attributes:
        values: (d,) float32, physical units.
        chunk: The chunk it comes from.
        index: Its place in the chunk.
        due_ns: Start of its control step [ns, node clock].
        confidence: In (0, 1), NaN without a rater.
        refined: Whether asynchronous flow matching generated it again.
    """

    values: np.ndarray
    chunk: StampedChunk
    index: int
    due_ns: int
    confidence: float
    refined: bool


class ActionSchedule:
    """Actions on a time line; a newer chunk replaces an older one from its own first due action.

    ::

        time      0    1    2    3    4    5    6    7    8    9         [steps]
        chunk 1   a0   a1   a2   a3   a4   a5                            observed at 0
        chunk 2             b0   b1   b2   b3   b4   b5                  observed at 2, arrives at 3.4
        handed    a0   a1   a2   a3   b2   b3   b4   b5   -    -
        out                           ^ b0 and b1 are expired: dropped,  ^ exhausted: None
                                        never replayed late

    The action due at ``now`` is ``floor((now - begin) / step)``. An expired action is never handed out, and
    each action is handed out at most once, so a delta cannot be applied twice. A chunk stamped in the future
    waits: until its first action is due, the older chunk goes on.

    Args:
        n_action_steps: Leading actions of each chunk that may be executed; 0: all of them.
    """

    def __init__(self, n_action_steps: int = 0):
        if n_action_steps < 0:
            raise ValueError(f"n_action_steps is {n_action_steps}, expected 0 (the whole chunk) or more")
        self._n_action_steps = n_action_steps
        self._chunks: list[StampedChunk] = []
        self._next_index = 0
        self._expired = 0
        self._session_id: int | None = None
        self._chunk_id = 0
        self._ended_sessions: set[int] = set()

    def merge(self, chunk: StampedChunk) -> bool:
        """Add a checked chunk; return False and change nothing if it is no newer than the newest one.

        A chunk without actions ends the task: what was planned is dropped at once.

        Within a session ids only go up. A new session (a restarted policy) begins with a later stamp, and the
        session before it never comes back.
        """
        if not self._is_newer(chunk):
            return False
        if self._session_id is not None and chunk.session_id != self._session_id:
            self._ended_sessions.add(self._session_id)
        self._session_id, self._chunk_id = chunk.session_id, chunk.chunk_id
        # The new chunk replaces older actions from its own first due time on.
        kept = [known for known in self._chunks if known.begin_ns < chunk.begin_ns and not chunk.is_end]
        if not kept:
            self._next_index = 0
        self._chunks = [*kept, chunk]
        return True

    def _is_newer(self, chunk: StampedChunk) -> bool:
        # An end is stamped when it was sent; the next chunk may answer an older observation.
        stamp_ns = None if self.newest is None or self.newest.is_end else self.newest.stamp_ns
        if chunk.session_id == self._session_id:
            return chunk.chunk_id > self._chunk_id and (stamp_ns is None or chunk.stamp_ns >= stamp_ns)
        ended = chunk.session_id in self._ended_sessions
        return not ended and (stamp_ns is None or chunk.stamp_ns > stamp_ns)

    def due(self, now_ns: int) -> ScheduledAction | None:
        """Hand out the action due at ``now_ns`` [ns], once; None: not begun, exhausted or handed out."""
        while len(self._chunks) > 1 and self._chunks[1].begin_ns <= now_ns:
            self._chunks.pop(0)
            self._next_index = 0
        if not self._chunks:
            return None
        chunk = self._chunks[0]
        index = chunk.index_at(now_ns)
        self._expired += max(0, min(index, self._length(chunk)) - self._next_index)
        self._next_index = max(self._next_index, min(index, self._length(chunk)))
        if index != self._next_index or index >= self._length(chunk):
            return None
        self._next_index = index + 1
        return ScheduledAction(
            values=chunk.actions[index],
            chunk=chunk,
            index=index,
            due_ns=chunk.due_ns(index),
            confidence=float("nan") if chunk.confidence is None else float(chunk.confidence[index]),
            refined=chunk.refined is not None and bool(chunk.refined[index]),
        )

    def remaining(self, now_ns: int) -> int:
        """Return actions that are due at ``now_ns`` or later and were not handed out."""
        total, until_ns = 0, None
        for position, chunk in reversed(list(enumerate(self._chunks))):
            if until_ns is not None and until_ns <= now_ns:
                break
            first = max(chunk.index_at(now_ns), self._next_index if position == 0 else 0)
            last = self._length(chunk)
            if until_ns is not None:
                # An older chunk goes on only while its control steps begin before the newer chunk does.
                last = min(last, -(-(until_ns - chunk.begin_ns) // chunk.action_period_ns))
            total += max(0, last - first)
            until_ns = chunk.begin_ns
        return total

    def is_exhausted(self, now_ns: int) -> bool:
        """Return whether every action lies in the past: its control step has ended."""
        newest = self.newest
        return newest is None or newest.index_at(now_ns) >= self._length(newest)

    def reset(self) -> None:
        """Forget the plan after a backward jump of the clock; chunk ids still only go up."""
        self._chunks = []
        self._next_index = 0

    @property
    def newest(self) -> StampedChunk | None:
        """The chunk merged last."""
        return self._chunks[-1] if self._chunks else None

    @property
    def expired(self) -> int:
        """Count of actions never handed out: their control step passed (late chunks, missed updates)."""
        return self._expired

    def _length(self, chunk: StampedChunk) -> int:
        horizon = len(chunk.actions)
        return min(horizon, self._n_action_steps) if self._n_action_steps else horizon
