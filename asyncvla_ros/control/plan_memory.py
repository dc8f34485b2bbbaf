"""The plan of older chunks, which a policy reads when it computes a new chunk.

Time is a whole number in any unit: nanoseconds of the node clock, or control steps of a simulator.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.types import Previous

# Number of delays of which the largest counts: a delay above the prediction does more harm than one below.
_LAGS = 10


@dataclass(frozen=True)
class _Chunk:
    begin: int
    actions: np.ndarray
    draft: np.ndarray


class PlanMemory:
    """Chunks of a session in the checkpoint's units. Not thread-safe.

    A chunk that continues older ones has their control steps, so that an action which it keeps stays due when
    it was. Whatever the times of observations are, it is neither executed twice nor left out::

        observed     o1           o2             o3         at any time
        due          a0   a1   a2   a3   a4                 number i at begin + i * step
        continued                 b0   b1   b2   b3         begin: the step of the plan that is nearest to o2

    Args:
        step: Time between two consecutive actions.
    """

    def __init__(self, step: int = 1):
        self._step = step
        self._chunks: list[_Chunk] = []
        self._lags: deque[int] = deque(maxlen=_LAGS)

    def note(
        self,
        stamp: int,
        arrived: int,
        actions: np.ndarray,
        draft: np.ndarray | None = None,
        *,
        continues: bool = False,
    ) -> int:
        """Note a chunk that was sent; return its ``begin``.

        Args:
            stamp: Time of its observation.
            arrived: Time of sending.
            actions: (l, d), of which number ``i`` is due at ``begin + i * step``.
            draft: (l, d) generated actions, where ``actions`` are their ensemble with older chunks.
            continues: Whether it has the control steps of the chunk before; else it begins at ``stamp``.
        """
        begin = self._begin(stamp) if continues else stamp
        self._lags.append(arrived - stamp)
        left = [chunk for chunk in self._chunks if self._place(chunk, stamp) < len(chunk.actions)]
        self._chunks = [*left, _Chunk(begin, actions, actions if draft is None else draft)]
        return begin

    def previous(self, stamp: int) -> Previous | None:
        """Return the plan that remains for an observation of ``stamp``; None if all chunks have ended.

        The delay of the answer is predicted as the largest of the last ten.
        """
        if not self._chunks or (first := self._place(self._chunks[-1], stamp)) < 0:
            return None
        actions = self._chunks[-1].actions[first:]
        if not len(actions):
            return None
        drafts = [chunk.draft[self._place(chunk, stamp) :] for chunk in self._chunks]
        # How many actions begin before the answer is there.
        delay = max(0, -((self._begin(stamp) - stamp - max(self._lags)) // self._step))
        return Previous(actions, min(delay, len(actions)), tuple(draft for draft in drafts if len(draft)))

    def forget(self) -> None:
        """Forget the chunks, which ended or precede a clock jump; keep their delays."""
        self._chunks = []

    def _begin(self, stamp: int) -> int:
        """Return when the action of the newest chunk is due that is due nearest to a time; else the time."""
        if not self._chunks:
            return stamp
        newest = self._chunks[-1]
        return newest.begin + self._place(newest, stamp) * self._step

    def _place(self, chunk: _Chunk, stamp: int) -> int:
        """Return the index in a chunk of the action due nearest to a time; negative before the chunk."""
        return (stamp - chunk.begin + self._step // 2) // self._step
