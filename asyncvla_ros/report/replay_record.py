"""Choice of the chunks that a replay's report shows, bounded whatever the length of the recording."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

# Numbers of columns of the pictures over time, of thumbnails, and of worst moments.
COLUMNS, THUMBNAILS, WORST = 1000, 12, 8


@dataclass(frozen=True)
class Moment:
    """One chunk beside the recorded motion.

    Attributes:
        time_s: Time since the start of the recording [s].
        predicted: (l, d) [units of the contract].
        done: (l, d) recorded actions, NaN where unknown.
        confidence: (l,), NaN without a rater.
        refined: (l,) bool, true for refined actions.
        error: Mean error in tolerances; NaN if no recorded action is known.
        instruction: The task.
    """

    time_s: float
    predicted: np.ndarray
    done: np.ndarray
    confidence: np.ndarray
    refined: np.ndarray
    error: float
    instruction: str


@dataclass(frozen=True)
class PicturedMoment:
    """A chunk with the camera images, JPEG by key."""

    moment: Moment
    images: Mapping[str, bytes]


@dataclass
class ReplayRecord:
    """Choose the chunks to show.

    Attributes:
        duration_s: Duration of the recording [s].
        columns: Columns of the pictures over time: the first chunk of each interval.
        thumbnails: Chunks evenly spaced in time.
        worst: Chunks with the largest errors, at most one per interval.
    """

    duration_s: float
    columns: dict[int, Moment] = field(default_factory=dict)
    thumbnails: dict[int, PicturedMoment] = field(default_factory=dict)
    _heap: list[tuple[float, float, PicturedMoment]] = field(default_factory=list)
    _candidate: tuple[int, PicturedMoment] | None = None

    def add(self, moment: Moment, block: int, images: Callable[[], Mapping[str, bytes]]) -> None:
        """Consider a chunk.

        Args:
            moment: The chunk.
            block: Number of its interval, of which at most one chunk is among the worst.
            images: Called for its images if they are needed.
        """
        share = moment.time_s / max(self.duration_s, 1e-9)
        self.columns.setdefault(int(COLUMNS * share), moment)
        if int(THUMBNAILS * share) not in self.thumbnails:
            self.thumbnails[int(THUMBNAILS * share)] = PicturedMoment(moment, images())
        if not np.isfinite(moment.error):
            return
        if self._candidate is not None and self._candidate[0] != block:
            self._settle()
        if self._candidate is None or moment.error > self._candidate[1].moment.error:
            self._candidate = block, PicturedMoment(moment, images())

    def _settle(self) -> None:
        if self._candidate is not None:
            seen = self._candidate[1]
            heapq.heappush(self._heap, (seen.moment.error, -seen.moment.time_s, seen))
            if len(self._heap) > WORST:
                heapq.heappop(self._heap)
            self._candidate = None

    @property
    def worst(self) -> list[PicturedMoment]:
        """The moments with the largest errors, the worst one first."""
        self._settle()
        return [seen for _, _, seen in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
