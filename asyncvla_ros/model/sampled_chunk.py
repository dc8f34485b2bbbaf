"""A generated chunk, and drafts with their ratings before it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SampledChunk:
    """The outcome of one inference.

    Attributes:
        actions: (1, l, d) normalized.
        confidence: (1, l) of the synchronous draft; None without a rating.
        variance: (1, l) of the synchronous draft: ``drafts.spread`` of several, ``flow.denoising_variance``
        of one; None if not computed.
        refined: (1, l) bool, True where an action was refined.
        kept: (1, l) bool, True where an action is one of the old plan.
        draft: (1, l, d) generated actions, where ``actions`` are an ensemble; else None.
    """

    actions: Tensor
    confidence: Tensor | None
    variance: Tensor | None
    refined: Tensor
    kept: Tensor
    draft: Tensor | None = None


@dataclass(frozen=True)
class Rated:
    """Actions (1, l, d) with confidence and variance (1, l), and all drafts (n, l, d)."""

    actions: Tensor
    confidence: Tensor | None
    denoised: Tensor | None
    spread: Tensor | None
    drafts: Tensor

    @property
    def variance(self) -> Tensor | None:
        """Variance between drafts if there are several, else the denoising variance of the one."""
        return self.denoised if self.spread is None else self.spread
