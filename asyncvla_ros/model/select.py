"""Selection of the actions to refine."""

from __future__ import annotations

import torch
from torch import Tensor


def select(
    how: str,
    threshold: float,
    mask: Tensor,
    confidence: Tensor | None,
    variance: Tensor | None,
    order: Tensor,
) -> Tensor:
    """Select the actions to refine, (1, l) bool; never kept ones.

    Args:
        how: ``rater``, ``random`` or ``variance``, see ``Strategy``.
        threshold: Threshold of confidence or variance.
        mask: (1, l), 0 on kept actions.
        confidence: (1, l); None: no action has low confidence.
        variance: (1, l), read by ``variance``.
        order: (l,) random permutation, of which ``random`` takes as many actions as have low confidence.
    """
    free = mask > 0
    if how == "variance" and variance is not None:
        return free & (variance > threshold)
    if confidence is None:
        return torch.zeros_like(free)
    has_low_confidence = free & (confidence < threshold)
    if how == "rater":
        return has_low_confidence
    order = order.to(mask.device)
    taken = order[free[0, order]][: int(has_low_confidence.sum())]
    chosen = torch.zeros_like(free)
    chosen[0, taken] = True
    return chosen
