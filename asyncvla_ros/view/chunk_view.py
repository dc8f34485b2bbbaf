"""A chunk as it is to be seen now: points, colors, what was generated again, what is over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.view.colors import confidence_rgba

# Opacity of actions that are over.
FADED = 0.25


@dataclass(frozen=True)
class ChunkView:
    """A path of ``l`` actions; action ``i`` leads from ``points[i]`` to ``points[i + 1]``.

    Attributes:
        points: (l + 1, 3) positions in the base frame [m].
        colors: (l, 4) RGBA in [0, 1]: confidence, faded where the action is over.
        refined: (l,) bool, generated again.
        executed: How many leading actions are over.
    """

    points: np.ndarray
    colors: np.ndarray
    refined: np.ndarray
    executed: int

    @property
    def segments(self) -> np.ndarray:
        """(l, 2, 3) begin and end of each action [m]."""
        return np.stack([self.points[:-1], self.points[1:]], axis=1)


def chunk_view(chunk: StampedChunk, points: np.ndarray, now_ns: int) -> ChunkView:
    """Return what a chunk looks like at ``now_ns``.

    Args:
        chunk: With ``l`` actions.
        points: (l + 1, 3), see ``ChunkPath.points``.
        now_ns: Node clock [ns]; actions whose control step has ended are faded.
    """
    confidence, refined = ratings(chunk)
    executed = chunk.executed_at(now_ns)
    colors = confidence_rgba(confidence)
    colors[:executed, 3] *= FADED
    return ChunkView(points, colors, refined, executed)


def ratings(chunk: StampedChunk) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence (l,), NaN where there is none, and (l,) bool, where an action was generated again."""
    length = len(chunk.actions)
    confidence, refined = chunk.confidence, chunk.refined
    return (
        np.full(length, np.nan) if confidence is None or len(confidence) != length else confidence,
        np.zeros(length, bool) if refined is None or len(refined) != length else refined,
    )


def is_stale(chunk: StampedChunk, now_ns: int, timeout_ns: int) -> bool:
    """Return whether a chunk is nothing to show any more: its observation is too old, or time jumped back."""
    return not -chunk.step_ns <= now_ns - chunk.stamp_ns <= timeout_ns
