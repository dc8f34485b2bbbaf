"""Signals of uncertainty that need no pass of the network; inputs of a rater, or alternatives to it.

variance   how much an action's estimate changed during denoising: ``flow.denoising_variance``
mean       its squared distance to the mean of the k drafts of its observation, times k / (k - 1), so that
           its expectation does not depend on k
medoid     its squared distance to the draft that is nearest to all others
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asyncvla_ros.model.drafts import medoid
from asyncvla_ros.model.rater import token_errors


def action_signals(
    reads: Sequence[str], actions: Tensor, drafts: Tensor, variance: Tensor | None, dim_mask: Tensor
) -> Tensor | None:
    """Compute the signals of actions, in the order of ``RaterConfig.reads``; None if that is empty.

    Args:
        reads: Some of ``config.SIGNALS``.
        actions: (b, m, l, d) normalized, of b observations.
        drafts: (b, k, l, d) synchronous drafts of the same observations; at least two if they are read.
        variance: (b, m, l) denoising variance; may be None if it is not read.
        dim_mask: (d,), 1 where an action dim is real.

    Returns:
        (b, m, l, len(reads)).

    Raises:
        ValueError: If an input of the signals is missing.
    """
    if not reads:
        return None
    return torch.stack(
        [_signal(name, actions, drafts, variance, dim_mask=dim_mask) for name in reads], dim=-1
    )


def _signal(name: str, actions: Tensor, drafts: Tensor, variance: Tensor | None, dim_mask: Tensor) -> Tensor:
    if name == "variance":
        if variance is None:
            raise ValueError("the denoising variance is read, expected (b, m, l), got None")
        return variance
    count = drafts.shape[1]
    if count < 2:
        raise ValueError(f"the distance to the {name} of drafts is read, expected several, got {count}")
    if name == "mean":
        return token_errors(actions, drafts.mean(1, keepdim=True), dim_mask) * (count / (count - 1))
    real = drafts * dim_mask
    row = medoid(real, torch.ones_like(real[0, :1, :, 0]))
    center = drafts[torch.arange(len(drafts), device=drafts.device), row]
    return token_errors(actions, center[:, None], dim_mask)
