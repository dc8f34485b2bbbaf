"""View of a chunk at one time: points, colors, refined actions, executed actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.view.colors import confidence_rgba

# Opacity of executed actions.
FADED = 0.25


@dataclass(frozen=True)
class ChunkView:
    """A path of ``l`` actions; action ``i`` leads from ``points[i]`` to ``points[i + 1]``.

    Attributes:
        points: (l + 1, 3) positions in the base frame [m].
        colors: (l, 4) RGBA in [0, 1]: confidence, faded for executed actions.
        refined: (l,) bool, true for refined actions.
        executed: Number of leading actions that have been executed.
    """

    points: np.ndarray
    colors: np.ndarray
    refined: np.ndarray
    executed: int

    @property
    def segments(self) -> np.ndarray:
        """(l, 2, 3) start and end of each action [m]."""
        return np.stack([self.points[:-1], self.points[1:]], axis=1)


def chunk_view(chunk: StampedChunk, points: np.ndarray, now_ns: int) -> ChunkView:
    """Compute the view of a chunk at ``now_ns``.

    Args:
        chunk: Chunk of ``l`` actions.
        points: (l + 1, 3), see ``ChunkPath.points``.
        now_ns: Node clock [ns]; actions whose control step has ended are faded.
    """
    confidence, refined = ratings(chunk)
    executed = chunk.executed_at(now_ns)
    colors = confidence_rgba(confidence)
    colors[:executed, 3] *= FADED
    return ChunkView(points, colors, refined, executed)


def ratings(chunk: StampedChunk) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence (l,), NaN where unknown, and the refined actions (l,) bool."""
    length = len(chunk.actions)
    confidence, refined = chunk.confidence, chunk.refined
    return (
        np.full(length, np.nan) if confidence is None or len(confidence) != length else confidence,
        np.zeros(length, bool) if refined is None or len(refined) != length else refined,
    )


def is_stale(chunk: StampedChunk, now_ns: int, timeout_ns: int) -> bool:
    """Return whether a chunk is too old to display, or from before a backward jump of time."""
    return not -chunk.action_period_ns <= now_ns - chunk.stamp_ns <= timeout_ns
