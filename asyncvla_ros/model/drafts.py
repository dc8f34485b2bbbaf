"""Combining several drafts to one, and their distances; all in normalized actions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Name of the gripper's action dim.
GRIPPER = "gripper"


@dataclass(frozen=True)
class Gripper:
    """The gripper's action dim, of which open and closed must not be averaged.

    Attributes:
        dim: Its index.
        middle: Value between open and closed.
    """

    dim: int
    middle: float


def weighted_mean(plans: Tensor, weights: Tensor, gripper: Gripper | None) -> Tensor:
    """Compute the weighted mean of plans; for the gripper, of those on the side with more weight.

    Args:
        plans: (k, l, d).
        weights: (k, l) of each action, 0 where a plan has none; at each place at least one is above 0.
        gripper: The gripper's dim, in which the last plan decides a tie; None without one.

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
    """Return the index of the draft with the least sum of distances (not squared) to all others.

    Args:
        drafts: (..., n, l, d).
        mask: (1, l), 0 on actions that were not generated.

    Returns:
        (...).
    """
    apart = (drafts.unsqueeze(-4) - drafts.unsqueeze(-3)).square().sum(-1) * mask
    return apart.sum(-1).sqrt().sum(-1).argmin(-1)


def nearest(drafts: Tensor, plan: Tensor, weights: Tensor) -> int:
    """Return the index of the draft that is nearest to a plan.

    Args:
        drafts: (n, l, d).
        plan: (1, l, d).
        weights: (l,) weight of each place.
    """
    return int(((drafts - plan).square().sum(-1) * weights).sum(1).argmin())


def spread(drafts: Tensor, chosen: Tensor, dim_mask: Tensor) -> Tensor:
    """Compute the mean squared distance of drafts (n, l, d) to the chosen one (1, l, d), as (1, l)."""
    distance = ((drafts - chosen).square() * dim_mask).sum(-1) / dim_mask.sum()
    return distance.mean(0, keepdim=True)
