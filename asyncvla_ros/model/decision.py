"""What is known of a chunk while it is decided on, and when it is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Attributes:
        actions: (1, l, d) normalized.
        confidence: (1, l) of the synchronous draft; None where nothing was rated.
        variance: (1, l) of the synchronous draft: of several, ``drafts.spread``; of one,
            ``flow.denoising_variance``, None where nobody asked.
        refined: (1, l) bool, True where an action was generated again.
        kept: (1, l) bool, True where an action is one of the old plan.
        draft: (1, l, d), what was generated, where ``actions`` are an ensemble; else None.
    """

    actions: Tensor
    confidence: Tensor | None
    variance: Tensor | None
    refined: Tensor
    kept: Tensor
    draft: Tensor | None = None


@dataclass(frozen=True)
class Judged:
    """Actions (1, l, d) with what is known of each, (1, l); and all drafts (n, l, d)."""

    actions: Tensor
    confidence: Tensor | None
    denoised: Tensor | None
    spread: Tensor | None
    drafts: Tensor

    @property
    def variance(self) -> Tensor | None:
        """That of several drafts, else that of denoising the one."""
        return self.denoised if self.spread is None else self.spread
