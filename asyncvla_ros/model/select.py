"""Which actions of a draft are generated again."""

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
    """Return which actions to generate again, (1, l) bool; never one that is kept.

    Args:
        how: ``rater``, ``random`` or ``variance``, see ``Strategy``.
        threshold: On confidence or variance.
        mask: (1, l), 0 on kept actions.
        confidence: (1, l), or None: then nothing is doubted by the rater.
        variance: (1, l), read by ``variance``.
        order: (l,) random permutation, in which ``random`` takes as many as are doubted.
    """
    free = mask > 0
    if how == "variance" and variance is not None:
        return free & (variance > threshold)
    if confidence is None:
        return torch.zeros_like(free)
    doubted = free & (confidence < threshold)
    if how == "rater":
        return doubted
    order = order.to(mask.device)
    taken = order[free[0, order]][: int(doubted.sum())]
    chosen = torch.zeros_like(free)
    chosen[0, taken] = True
    return chosen
