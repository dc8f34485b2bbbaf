"""What older chunks would still do: what a policy is told of the plan in execution when it decides anew.

Time is a whole number in any unit: nanoseconds of the node clock, or control steps of a simulator.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.types import Previous

# A late answer is more harmful than one that is expected late: the largest of so many lags counts.
_LAGS = 10


@dataclass(frozen=True)
class _Chunk:
    stamp: int
    actions: np.ndarray
    draft: np.ndarray


class PlanMemory:
    """The chunks of a session, in the units of the checkpoint. Not thread-safe.

    Args:
        step: Time between two consecutive actions.
    """

    def __init__(self, step: int = 1):
        self._step = step
        self._chunks: list[_Chunk] = []
        self._lags: deque[int] = deque(maxlen=_LAGS)

    def note(self, stamp: int, arrived: int, actions: np.ndarray, draft: np.ndarray | None = None) -> None:
        """A chunk was sent.

        Args:
            stamp: When its observation was taken.
            arrived: When it was sent.
            actions: (l, d), of which number ``i`` is due at ``stamp + i * step``.
            draft: (l, d) what was generated, where ``actions`` are an ensemble with older chunks.
        """
        self._lags.append(arrived - stamp)
        left = [chunk for chunk in self._chunks if self._place(chunk, stamp) < len(chunk.actions)]
        self._chunks = [*left, _Chunk(stamp, actions, actions if draft is None else draft)]

    def previous(self, stamp: int) -> Previous | None:
        """What is still to come of the chunks noted, for an observation of ``stamp``; None if nothing is.

        The answer is taken to need as long as the slowest of the last ten.
        """
        if not self._chunks or (first := self._place(self._chunks[-1], stamp)) < 0:
            return None
        actions = self._chunks[-1].actions[first:]
        if not len(actions):
            return None
        drafts = [chunk.draft[self._place(chunk, stamp) :] for chunk in self._chunks]
        delay = -(-max(self._lags) // self._step)
        return Previous(actions, min(delay, len(actions)), tuple(draft for draft in drafts if len(draft)))

    def forget(self) -> None:
        """Forgets the chunks, not how late they were: they ended, or the clock jumped back."""
        self._chunks = []

    def _place(self, chunk: _Chunk, stamp: int) -> int:
        """Place in a chunk of the action that is due at a time; negative before it."""
        return (stamp - chunk.stamp) // self._step
