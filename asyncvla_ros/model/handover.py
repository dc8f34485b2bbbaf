"""Handover from the plan in execution to a new chunk, in normalized actions.

Places count from the observation; ``delay`` actions of the old plan are executed before the answer arrives:

    old plan      a0 a1 a2 a3 a4          length 5, delay 2
    commit        a0 a1 .. .. .. .. .. ..     kept as context, the others are generated
    keep          a0 a1 .. a3 .. .. .. ..     in addition, those with high confidence
    keep_all      a0 a1 a2 a3 a4 .. .. ..
    guided        1  1  w2 w3 w4 0  0  0      weights of a pull, nothing is kept
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.model.drafts import Gripper, weighted_mean
from asyncvla_ros.strategy import RATING
from asyncvla_ros.types import ContractError, Previous

KEEPING = ("commit", "keep_all", *RATING)
# Decay of the weight from each plan to the next younger one (ACT, arXiv 2304.13705).
_DECAY = 0.01


@dataclass(frozen=True)
class Plan:
    """The plan of older chunks.

    Attributes:
        actions: (1, l, d) of the plan in execution; from ``length`` on the last action repeats.
        length: Number of actions of the plan, at least 1.
        delay: Number of actions to be executed before the answer arrives.
        drafts: (k, l, d) of older chunks as generated, the newest last.
        known: (k, l) bool, False beyond the end of a draft.
    """

    actions: Tensor
    length: int
    delay: int
    drafts: Tensor
    known: Tensor

    @property
    def n_frozen(self) -> int:
        """Number of leading actions to keep; at least one action of a chunk is generated."""
        return min(self.delay, self.length, self.actions.shape[1] - 1)

    def later(self) -> Tensor:
        """Return which places after the frozen prefix may be kept, (1, l) bool."""
        return self.first(min(self.length, self.actions.shape[1] - 1)) & ~self.first(self.n_frozen)

    def first(self, count: int) -> Tensor:
        """Return the first places, (1, l) bool."""
        return torch.arange(self.actions.shape[1], device=self.actions.device)[None] < count

    def weights(self) -> Tensor:
        """Return ``prefix_weights`` of the plan, (l,)."""
        return prefix_weights(self.delay, self.length, self.actions.shape[1]).to(self.actions.device)


def normalized_plan(previous: Previous, stats: NormStats, length: int, dim_mask: Tensor) -> Plan | None:
    """Convert a plan to the units of the network.

    Args:
        previous: Plan in the checkpoint's units; cut to the length of a chunk.
        stats: Statistics of actions.
        length: Length of a chunk.
        dim_mask: (d,), 1 where an action dim is real.

    Returns:
        None if nothing of the plan is left.

    Raises:
        ContractError: If actions have another shape or are not finite, or the delay is below 0.
    """
    delay = previous.delay
    if isinstance(delay, bool) or not isinstance(delay, int | np.integer) or delay < 0:
        raise ContractError(f"the delay of the old plan is {delay!r}, expected a whole number of at least 0")
    plan, count = _padded(previous.actions, "actions of the old plan", stats, length, dim_mask=dim_mask)
    if not count:
        return None
    drafts = [_padded(draft, "an older draft", stats, length, dim_mask=dim_mask) for draft in previous.drafts]
    place = torch.arange(length, device=dim_mask.device)
    return Plan(
        plan[None],
        count,
        int(delay),
        torch.stack([draft for draft, _ in drafts]) if drafts else plan.new_zeros(0, *plan.shape),
        known=torch.stack([place < known for _, known in drafts]) if drafts else (place < 0)[None][:0],
    )


def _padded(
    actions: np.ndarray, what: str, stats: NormStats, length: int, dim_mask: Tensor
) -> tuple[Tensor, int]:
    """Normalize actions and repeat the last one to (l, d); return them and the number of given ones."""
    given, dims = np.asarray(actions, np.float32), len(stats.mean)
    if given.ndim != 2 or given.shape[1] != dims or not np.isfinite(given).all():
        raise ContractError(f"{what} have shape {given.shape}, expected (k, {dims}) finite numbers")
    given = stats.normalize(given[:length])
    padded = torch.zeros(length, len(dim_mask))
    if len(given):
        padded[:, :dims] = torch.from_numpy(given[np.minimum(np.arange(length), len(given) - 1)])
    return padded.to(dim_mask.device), len(given)


def prefix_weights(delay: int, end: int, total: int) -> Tensor:
    """Compute the weight of each place of an old plan: 1 before ``delay``, then less, 0 from ``end`` on.

    w = c (e^c - 1) / (e - 1) with c = (end - i) / (end - delay + 1) from ``delay`` to ``end`` (arXiv
    2506.07339, equation 5).

    Returns:
        (total,).
    """
    place = torch.arange(total)
    c = ((end - place) / (end - min(delay, end) + 1)).clamp(0, 1)
    decaying = c * torch.expm1(c) / math.expm1(1)
    return torch.where(place < min(delay, end), 1.0, decaying)


def kept_places(
    plan: Plan, confidence: Tensor | None, threshold: float, order: Tensor | None, *, keeps_all: bool
) -> Tensor:
    """Return which actions of the old plan are context of the new chunk, (1, l) bool.

    Args:
        plan: The plan, whose frozen prefix is always kept.
        keeps_all: Whether all other actions are kept, too.
        confidence: (1, l) of the plan under the new observation. None: keep no others; else keep those with
        at least the threshold, if their mean reaches it, too.
        threshold: Least confidence.
        order: (l,) random permutation from which equally many others are kept instead; None: not random.
    """
    later, frozen = plan.later(), plan.first(plan.n_frozen)
    if keeps_all:
        return frozen | later
    if confidence is None or not later.any() or confidence[later].mean() < threshold:
        return frozen
    chosen = later & (confidence >= threshold)
    if order is not None:
        order, count = order.to(later.device), int(chosen.sum())
        chosen = torch.zeros_like(later)
        chosen[0, order[later[0, order]][:count]] = True
    return frozen | chosen


def ensemble(plan: Plan, draft: Tensor, gripper: Gripper | None) -> Tensor:
    """Average a new draft (1, l, d) and all older ones, of which the oldest counts most."""
    plans = torch.cat([plan.drafts, draft])
    known = torch.cat([plan.known, torch.ones_like(draft[..., 0], dtype=torch.bool)])
    age = torch.exp(-_DECAY * torch.arange(len(plans), device=draft.device))
    return weighted_mean(plans, age[:, None] * known, gripper)
