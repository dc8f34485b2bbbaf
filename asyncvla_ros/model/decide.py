"""One decision in normalised actions: draft, rate, refine (arXiv 2511.14148, section 3.3, and controls).

    noise -> drafts (SFM) -> confidence -> best draft -> select -> regenerate (AFM) -> judge again ...

Strategies with the same seed share their noise, so that they can be compared in pairs: whatever is selected,
draft and refinements start from the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asyncvla_ros.model import flow
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.runner import Runner
from asyncvla_ros.model.signals import action_signals
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ContractError


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Attributes:
        actions: (1, l, d) normalised.
        confidence: (1, l) of the synchronous draft; None where nothing was rated.
        variance: (1, l) of the synchronous draft, see ``flow.denoising_variance``; None where nobody asked.
        refined: (1, l) bool, True where an action was generated again.
    """

    actions: Tensor
    confidence: Tensor | None
    variance: Tensor | None
    refined: Tensor


@dataclass(frozen=True)
class _Judged:
    """Actions (1, l, d) with what is known of each: confidence (1, l), variance (1, l); and all n drafts."""

    actions: Tensor
    confidence: Tensor | None
    variance: Tensor | None
    drafts: Tensor


class Decider:
    """Draws the noise and makes the passes that a strategy asks for, one observation at a time.

    Args:
        model: The network, or an engine that runs it.
        dim_mask: (d,), 1 where an action dim is real.
        generator: Source of all noise and of the random choice.
    """

    def __init__(self, model: Runner, dim_mask: Tensor, generator: torch.Generator) -> None:
        self._model = model
        self._dim_mask = dim_mask
        self._generator = generator

    def check(self, strategy: Strategy) -> None:
        """Find out before the first observation whether the policy can decide so.

        Raises:
            ContractError: If the strategy needs a rater that is not there, the variance of a single step, or
                that of other steps than the rater has learned to read.
        """
        config = self._model.config
        needed = strategy.best_of > 1 or (strategy.mode == "afm" and strategy.select == "random")
        if needed and config.rater is None:
            raise ContractError(
                f"best_of {strategy.best_of} with select {strategy.select!r} needs a confidence rater, which "
                "this policy lacks; train one with `asyncvla train-rater`, or use best_of 1 and 'variance'"
            )
        if self._rates(strategy) and config.rater.compares and strategy.best_of < 2:
            raise ContractError(
                f"best_of is {strategy.best_of}, but the rater has learned to read how an action lies among "
                "several drafts; use best_of 2 or more, or mode 'sfm'"
            )
        if not self._watches(strategy):
            return
        steps = strategy.denoise_steps or config.num_denoise_steps
        require_several("denoise_steps", steps)
        if strategy.mode == "afm" and strategy.rounds > 1:
            require_several("refine_steps", strategy.refine_steps or config.num_refine_steps)
        if self._rates(strategy) and steps != config.num_denoise_steps:
            raise ContractError(
                f"denoise_steps is {steps}, but the rater has learned to read the variance of "
                f"{config.num_denoise_steps} steps; leave it at that, or use mode 'sfm' without best_of"
            )

    def decide(
        self, prefix: Prefix, kept: Tensor, mask: Tensor, strategy: Strategy, lap: Callable[[str], None]
    ) -> Decision:
        """Decide on one chunk.

        Args:
            prefix: The encoded observation.
            kept: (1, l, d) normalised, read where ``mask`` is 0.
            mask: (1, l), 0 on committed actions.
            strategy: How.
            lap: Called with ``sfm``, ``rater`` or ``afm`` whenever a piece of that stage is done.

        Raises:
            ContractError: See ``check``.
        """
        self.check(strategy)
        draft = judged = self._draft(prefix, kept, mask, strategy, lap)
        refined = torch.zeros_like(mask, dtype=torch.bool)
        for turn in range(strategy.rounds if strategy.mode == "afm" else 0):
            if turn and strategy.select != "variance" and judged.confidence is not None:
                confidence = self._rate(prefix, judged.actions, judged.drafts, judged.variance)
                judged = replace(judged, confidence=confidence)
                lap("rater")
            # Drawn in every case, so that all ways to select start from the same noise.
            noise, order = self._noise(kept), torch.randperm(mask.shape[1], generator=self._generator)
            chosen = select(
                strategy.select, self._threshold(strategy), mask, judged.confidence, judged.variance, order
            )
            if not chosen.any():
                break
            steps = strategy.refine_steps or self._model.config.num_refine_steps
            actions, variance = self._sample(
                prefix, judged.actions, judged.variance, chosen.float(), noise, steps
            )
            judged = replace(judged, actions=actions, variance=variance)
            refined |= chosen
            lap("afm")
        return Decision(judged.actions, draft.confidence, draft.variance, refined)

    def _draft(
        self, prefix: Prefix, kept: Tensor, mask: Tensor, strategy: Strategy, lap: Callable[[str], None]
    ) -> _Judged:
        """The best of the synchronous drafts."""
        n = strategy.best_of
        # One draw each: the first draft is the same however many there are.
        noise = torch.cat([self._noise(kept) for _ in range(n)])
        start, generate = kept.expand(n, -1, -1), mask.expand(n, -1)
        # Committed actions are beyond doubt.
        known = torch.zeros_like(generate) if self._watches(strategy) else None
        steps = strategy.denoise_steps or self._model.config.num_denoise_steps
        drafts, variance = self._sample(prefix, start, known, generate, noise, steps)
        lap("sfm")
        if not self._rates(strategy):
            return _Judged(drafts, None, variance, drafts)
        confidence = self._rate(prefix.repeat(n), drafts, drafts, variance)
        best = int((confidence * generate).sum(1).argmax())
        lap("rater")
        row = slice(best, best + 1)
        return _Judged(drafts[row], confidence[row], None if variance is None else variance[row], drafts)

    def _rate(self, prefix: Prefix, actions: Tensor, drafts: Tensor, variance: Tensor | None) -> Tensor:
        """Confidence (m, l) of actions (m, l, d), with what the rater reads of them; see ``_Judged``."""
        rater = self._model.config.rater
        known = None if variance is None else variance[None]
        signals = action_signals(
            rater.reads if rater else (), actions[None], drafts[None], known, self._dim_mask
        )
        return self._model.rate(prefix, actions, None if signals is None else signals[0])

    def _sample(
        self, prefix: Prefix, kept: Tensor, variance: Tensor | None, mask: Tensor, noise: Tensor, steps: int
    ) -> tuple[Tensor, Tensor | None]:
        """Actions, and their variance if that of the kept ones is given."""
        if variance is None:
            return self._model.sample(prefix, kept, mask, noise, self._dim_mask, steps), None
        velocities: list[Tensor] = []
        actions = self._model.sample(prefix, kept, mask, noise, self._dim_mask, steps, velocities)
        fresh = flow.denoising_variance(velocities, self._dim_mask)
        return actions, torch.where(mask > 0, fresh, variance)

    def _rates(self, strategy: Strategy) -> bool:
        wanted = strategy.best_of > 1 or (strategy.mode == "afm" and strategy.select != "variance")
        return wanted and self._model.config.rater is not None

    def _watches(self, strategy: Strategy) -> bool:
        """Whether anything reads the variance of the denoising steps."""
        rater = self._model.config.rater
        by_rater = self._rates(strategy) and rater is not None and rater.reads_variance
        return by_rater or (strategy.mode == "afm" and strategy.select == "variance")

    def _threshold(self, strategy: Strategy) -> float:
        if strategy.threshold is not None:
            return strategy.threshold
        rater = self._model.config.rater
        return rater.threshold if rater else 0.0

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._generator).to(like.device)


def require_several(name: str, steps: int) -> None:
    """ContractError if there is only one step, whose variance is to be read."""
    if steps == 1:
        raise ContractError(f"{name} is 1, expected more: in one step the estimate of an action cannot vary")


def select(
    how: str,
    threshold: float,
    mask: Tensor,
    confidence: Tensor | None,
    variance: Tensor | None,
    order: Tensor,
) -> Tensor:
    """Which actions to generate again, (1, l) bool; never one that is committed.

    Args:
        how: ``rater``, ``random`` or ``variance``, see ``Strategy``.
        threshold: On confidence or variance.
        mask: (1, l), 0 on committed actions.
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
