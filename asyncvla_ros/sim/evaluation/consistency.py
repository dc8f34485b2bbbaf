"""Temporal consistency of what a policy commanded: the jerk inside chunks and where two of them meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def commanded_jerk(
    actions: np.ndarray, chunk: Sequence[int], position_unit_m: float, hz: float
) -> tuple[float | None, float | None]:
    """Compute the root mean square jerk of the commanded path of the end effector.

    The path is the sum of the translations; its jerk at three consecutive actions a, b, c is
    ``(c - 2 b + a) * hz³``, since each is a first difference already.

    Args:
        actions: (n, >= 3) executed actions; the first three columns are translations in action units.
        chunk: (n,) number of the chunk each action came from.
        position_unit_m: One action unit [m].
        hz: Control rate [Hz].

    Returns:
        Inside chunks and across seams [m/s³]; None without three consecutive actions of the kind.
    """
    if len(actions) < 3:
        return None, None
    steps = np.asarray(actions, np.float64)[:, :3] * position_unit_m
    jerk = np.linalg.norm(steps[2:] - 2 * steps[1:-1] + steps[:-2], axis=1) * hz**3
    number = np.asarray(chunk)
    inside = number[2:] == number[:-2]
    return _rms(jerk[inside]), _rms(jerk[~inside])


def _rms(values: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None
