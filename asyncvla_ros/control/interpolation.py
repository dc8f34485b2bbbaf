"""Positions between two actions, so that commands are more frequent than actions."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk


def interpolate_chunk(chunk: StampedChunk, at_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interpolate a chunk: the cubic Hermite curve through its actions, with velocity and acceleration.

    ::

        a0 ●──╮                     at a due time the action itself, with the slope between its neighbors
              ╰──● a1 ──● a2        (at the first to the second, at the last 0); around the chunk it stands

    Args:
        chunk: The chunk.
        at_ns: [ns, node clock].

    Returns:
        (d,) float64 position [unit], velocity [unit/s] and acceleration [unit/s²].
    """
    step_s, last = chunk.action_period_ns / 1e9, len(chunk.actions) - 1
    index = chunk.index_at(at_ns)
    if not 0 <= index < last:
        still = np.zeros(chunk.actions.shape[1])
        return chunk.actions[min(max(index, 0), last)].astype(np.float64), still, still
    first = max(0, index - 1)
    actions = chunk.actions[first : index + 3].astype(np.float64)
    begin, end = actions[index - first], actions[index - first + 1]
    # Slopes per step.
    leaving = (end - actions[0]) / 2 if index else end - begin
    arriving = (actions[-1] - begin) / 2 if index + 1 < last else np.zeros_like(begin)
    # begin + t·leaving + t²·square + t³·cube
    square = 3 * (end - begin) - 2 * leaving - arriving
    cube = leaving + arriving - 2 * (end - begin)
    t = (at_ns - chunk.due_ns(index)) / chunk.action_period_ns
    position = begin + t * (leaving + t * (square + t * cube))
    velocity = (leaving + t * (2 * square + t * 3 * cube)) / step_s
    return position, velocity, (2 * square + t * 6 * cube) / step_s**2


def hull(chunk: StampedChunk, from_ns: int, to_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (d,) float32 least and greatest action around a curve between two times [ns, node clock]."""
    last = len(chunk.actions) - 1
    first, end = (min(max(chunk.index_at(at_ns), 0), last) for at_ns in (from_ns, to_ns))
    actions = chunk.actions[first : end + 2]
    return actions.min(axis=0), actions.max(axis=0)
