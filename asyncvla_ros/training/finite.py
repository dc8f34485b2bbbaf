"""Refuse a loss that is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from asyncvla_ros.types import AsyncVLAError

# Episodes that an error lists.
LISTED = 20


def require_finite(loss: float, step: int, episodes: Sequence[int], out: Path) -> None:
    """Stop before a step that would spoil the weights.

    Args:
        loss: Of the step.
        step: Its number.
        episodes: From which its batch was drawn.
        out: Run folder, whose last saved state is good.

    Raises:
        AsyncVLAError: The loss is no number.
    """
    if math.isfinite(loss):
        return
    drawn = sorted(set(episodes))
    listed = ", ".join(map(str, drawn[:LISTED])) + (", ..." if len(drawn) > LISTED else "")
    raise AsyncVLAError(
        f"the loss is {loss} at step {step}, whose batch is of the episodes {listed}; nothing of this step "
        f"is kept. A rerun goes on from the last state in {out}; look at the data with `asyncvla data`, or "
        "lower the learning rate"
    )
