"""How one draft is made of several, and how far they are apart; all in normalized actions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# The action dim that has two sides rather than a mean.
GRIPPER = "gripper"


@dataclass(frozen=True)
class Gripper:
    """A dim whose mean of open and closed would be neither.

    Attributes:
        dim: Its index.
        middle: Between open and closed.
    """

    dim: int
    middle: float


def weighted_mean(plans: Tensor, weights: Tensor, gripper: Gripper | None) -> Tensor:
    """Return the mean of plans; of the gripper it is the mean of those on the side with more weight.

    Args:
        plans: (k, l, d).
        weights: (k, l) of each action, 0 where a plan has none; not all 0 at any place.
        gripper: None if there is none. The last plan decides a draw.

    Returns:
        (1, l, d).
    """
    mean = (weights[..., None] * plans).sum(0, keepdim=True) / weights.sum(0)[..., None]
    if gripper is not None:
        values = plans[..., gripper.dim]
        is_above = values > gripper.middle
        above, below = (torch.where(side, weights, 0).sum(0) for side in (is_above, ~is_above))
        is_won = is_above == torch.where(above == below, is_above[-1], above > below)
        votes = torch.where(is_won, weights, 0)
        mean[0, :, gripper.dim] = (votes * values).sum(0) / votes.sum(0)
    return mean


def medoid(drafts: Tensor, mask: Tensor) -> Tensor:
    """Return the number of the draft that is nearest to all others, by the sum of distances (not of their squares).

    Args:
        drafts: (..., n, l, d).
        mask: (1, l), 0 on actions that were not generated.

    Returns:
        (...).
    """
    apart = (drafts.unsqueeze(-4) - drafts.unsqueeze(-3)).square().sum(-1) * mask
    return apart.sum(-1).sqrt().sum(-1).argmin(-1)


def nearest(drafts: Tensor, plan: Tensor, weights: Tensor) -> int:
    """Return the number of the draft that is nearest to a plan.

    Args:
        drafts: (n, l, d).
        plan: (1, l, d).
        weights: (l,) of each place.
    """
    return int(((drafts - plan).square().sum(-1) * weights).sum(1).argmin())


def spread(drafts: Tensor, chosen: Tensor, dim_mask: Tensor) -> Tensor:
    """Return the mean squared distance of drafts (n, l, d) to the chosen one (1, l, d) over real dims (d,): (1, l)."""
    distance = ((drafts - chosen).square() * dim_mask).sum(-1) / dim_mask.sum()
    return distance.mean(0, keepdim=True)
