"""Where the arm should be between two actions, so that it is commanded more often than the policy decides."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.core.action_schedule import ScheduledAction


def reference(action: ScheduledAction, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity at ``now_ns`` on the cubic Hermite curve through the actions of a chunk.

    ::

        a0 ●──╮                     at a due time the action itself, with the slope between its neighbours
              ╰──● a1 ──● a2        (0 at both ends of the chunk); after the last action it stands still

    Args:
        action: The action due now.
        now_ns: [ns, node clock].

    Returns:
        (d,) float64 position [unit] and (d,) float64 velocity [unit/s].
    """
    actions = action.chunk.actions[max(0, action.index - 1) : action.index + 3].astype(np.float64)
    here = min(action.index, 1)
    step_s = action.chunk.step_ns / 1e9
    t = (now_ns - action.due_ns) / action.chunk.step_ns
    if here + 1 >= len(actions) or t >= 1:
        return actions[min(here + 1, len(actions) - 1) if t >= 1 else here], np.zeros(actions.shape[1])
    begin, end = actions[here], actions[here + 1]
    # Slopes per step.
    leaving = (end - actions[here - 1]) / 2 if here else np.zeros_like(begin)
    arriving = (actions[here + 2] - begin) / 2 if here + 2 < len(actions) else np.zeros_like(begin)
    square, cube = t * t, t * t * t
    position = (
        (2 * cube - 3 * square + 1) * begin
        + (cube - 2 * square + t) * leaving
        + (3 * square - 2 * cube) * end
        + (cube - square) * arriving
    )
    velocity = (
        6 * (square - t) * (begin - end)
        + (3 * square - 4 * t + 1) * leaving
        + (3 * square - 2 * t) * arriving
    )
    return position, velocity / step_s
