"""What a report of a replay shows beside its figures: a bounded choice of decisions, however long it was."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

# Columns of the pictures over time, thumbnails, and worst moments.
COLUMNS, THUMBNAILS, WORST = 1000, 12, 8


@dataclass(frozen=True)
class Moment:
    """One decision.

    Attributes:
        time_s: Since the begin of the recording [s].
        predicted: (l, d) [units of the contract].
        done: (l, d), NaN where it is not known.
        confidence: (l,), NaN without a rater.
        refined: (l,) bool, generated again.
        error: Mean error in tolerances; NaN if nothing of it is known.
        instruction: What was to be done.
    """

    time_s: float
    predicted: np.ndarray
    done: np.ndarray
    confidence: np.ndarray
    refined: np.ndarray
    error: float
    instruction: str


@dataclass(frozen=True)
class Seen:
    """A decision with what the cameras saw: key to JPEG."""

    moment: Moment
    images: Mapping[str, bytes]


@dataclass
class ReplayRecord:
    """Chooses the decisions that are shown.

    Attributes:
        duration_s: Of the recording [s].
        columns: Of the pictures over time: the first decision of each piece of time.
        thumbnails: Evenly over time.
        worst: With the largest errors, the worst one of each piece of time.
    """

    duration_s: float
    columns: dict[int, Moment] = field(default_factory=dict)
    thumbnails: dict[int, Seen] = field(default_factory=dict)
    _heap: list[tuple[float, float, Seen]] = field(default_factory=list)
    _candidate: tuple[int, Seen] | None = None

    def add(self, moment: Moment, block: int, images: Callable[[], Mapping[str, bytes]]) -> None:
        """Look at a decision.

        Args:
            moment: The decision.
            block: Number of its piece of time; of each, one is among the worst at most.
            images: Makes its images, if they are needed.
        """
        share = moment.time_s / max(self.duration_s, 1e-9)
        self.columns.setdefault(int(COLUMNS * share), moment)
        if int(THUMBNAILS * share) not in self.thumbnails:
            self.thumbnails[int(THUMBNAILS * share)] = Seen(moment, images())
        if not np.isfinite(moment.error):
            return
        if self._candidate is not None and self._candidate[0] != block:
            self._settle()
        if self._candidate is None or moment.error > self._candidate[1].moment.error:
            self._candidate = block, Seen(moment, images())

    def _settle(self) -> None:
        if self._candidate is not None:
            seen = self._candidate[1]
            heapq.heappush(self._heap, (seen.moment.error, -seen.moment.time_s, seen))
            if len(self._heap) > WORST:
                heapq.heappop(self._heap)
            self._candidate = None

    @property
    def worst(self) -> list[Seen]:
        """The worst moments, the worst one first."""
        self._settle()
        return [seen for _, _, seen in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
