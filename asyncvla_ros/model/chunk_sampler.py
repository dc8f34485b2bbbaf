"""Inference of one chunk, in normalized actions: hand over, draft, rate, refine.

    old plan -> context, noise -> drafts -> one -> confidence -> select -> refine ...

Draft, rating and refinement follow arXiv 2511.14148, section 3.3, with controls. Strategies with the same
seed share their noise, so that they can be compared in pairs: draft and refinements start from the same
numbers whatever is kept or selected, and the first draft does not depend on the number of drafts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asyncvla_ros.model import flow
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.drafts import Gripper, medoid, nearest, spread, weighted_mean
from asyncvla_ros.model.handover import KEEPING, Plan, ensemble, kept_places
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.runner import Runner
from asyncvla_ros.model.sampled_chunk import Rated, SampledChunk
from asyncvla_ros.model.select import select
from asyncvla_ros.model.signals import action_signals
from asyncvla_ros.model.strategy_check import check_strategy, confidence_threshold, rates, watches
from asyncvla_ros.strategy import RATING, Strategy
from asyncvla_ros.types import ContractError

Lap = Callable[[str], None]


@dataclass(frozen=True)
class _Context:
    """Start of all drafts: kept actions (1, l, d), a mask (1, l) that is 0 on them, and guidance."""

    kept: Tensor
    mask: Tensor
    guidance: flow.Guidance | None


class ChunkSampler:
    """Generate a chunk by the passes of a strategy, one observation at a time.

    Args:
        model: The network, or an engine that runs it.
        dim_mask: (d,), 1 where an action dim is real.
        generator: Source of all noise and of the random choice.
        gripper: The gripper's dim; None without one.
    """

    def __init__(
        self, model: Runner, dim_mask: Tensor, generator: torch.Generator, gripper: Gripper | None = None
    ) -> None:
        self._model = model
        self._dim_mask = dim_mask
        self._generator = generator
        self._gripper = gripper

    def check(self, strategy: Strategy) -> None:
        """Check before the first observation that the policy can run a strategy.

        Raises:
            ContractError: See ``check_strategy``; or the strategy needs gradients, which engines lack.
        """
        check_strategy(strategy, self._model.config)
        if strategy.needs_gradient and not isinstance(self._model, AsyncVLA):
            raise ContractError(
                "handover 'guided' with jacobian 'full' goes back through the network, which only engine "
                "'plain' can; load the policy with it, or use jacobian 'identity'"
            )

    def sample(self, prefix: Prefix, plan: Plan | None, strategy: Strategy, lap: Lap) -> SampledChunk:
        """Generate one chunk.

        Args:
            prefix: The encoded observation.
            plan: The plan of older chunks; None if they have ended.
            strategy: Complete strategy, see ``AsyncVLAConfig.resolve``.
            lap: Called with ``draft``, ``rate`` or ``refine`` after each part of that stage.

        Raises:
            ContractError: See ``check``.
        """
        self.check(strategy)
        if not strategy.needs_gradient:
            return self._sample_chunk(prefix, plan, strategy, lap)
        with torch.inference_mode(mode=False):
            # Tensors of inference mode cannot be used in a backward pass.
            prefix = Prefix.of_tensors([part.clone() for part in prefix.tensors()])
            return self._sample_chunk(prefix, plan, strategy, lap)

    def _sample_chunk(self, prefix: Prefix, plan: Plan | None, strategy: Strategy, lap: Lap) -> SampledChunk:
        assert strategy.rounds is not None and strategy.best_of is not None
        # One draw each, so that the first draft does not depend on the number of drafts.
        noise = torch.cat([self._noise() for _ in range(strategy.best_of)])
        if strategy.choose == "mean":
            # Antithetic pairs: what depends linearly on the noise cancels out.
            noise[1::2] = -noise[: strategy.best_of - 1 : 2]
        context = self._context(prefix, plan, strategy, lap)
        draft = rated = self._draft(prefix, plan, context, noise, strategy=strategy, lap=lap)
        refined = torch.zeros_like(context.mask, dtype=torch.bool)
        for turn in range(strategy.rounds if strategy.mode == "afm" else 0):
            if turn and strategy.select != "variance" and rated.confidence is not None:
                confidence = self._rate(prefix, rated.actions, rated.drafts, rated.denoised)
                rated = replace(rated, confidence=confidence)
                lap("rate")
            # Always drawn, so that all selections start from the same noise.
            noise, order = self._noise(), self._order(self._generator)
            chosen = self._select(rated, context.mask, order, strategy)
            if not chosen.any():
                break
            again = replace(context, kept=rated.actions, mask=chosen.float())
            actions, denoised = self._generate(
                prefix, again, rated.denoised, noise, steps=strategy.refine_steps
            )
            rated = replace(rated, actions=actions, denoised=denoised)
            refined |= chosen
            lap("refine")
        actions, made = rated.actions, None
        if strategy.handover == "ensemble" and plan is not None:
            actions, made = ensemble(plan, rated.actions, self._gripper), rated.actions
        return SampledChunk(
            actions, draft.confidence, draft.variance, refined, kept=context.mask == 0, draft=made
        )

    def _context(self, prefix: Prefix, plan: Plan | None, strategy: Strategy, lap: Lap) -> _Context:
        """Return the kept actions of the old plan, the mask of the others, and the guidance."""
        device = self._dim_mask.device
        mask = torch.ones(1, self._model.config.chunk_size, device=device)
        kept = torch.zeros(*mask.shape, len(self._dim_mask), device=device)
        if plan is None:
            return _Context(kept, mask, None)
        if strategy.handover == "guided":
            assert strategy.guidance is not None
            weights, is_full = plan.weights()[None], strategy.needs_gradient
            pull = flow.Guidance(plan.actions, weights, self._dim_mask, strategy.guidance, is_full=is_full)
            return _Context(kept, mask, pull)
        if strategy.handover not in KEEPING:
            return _Context(kept, mask, None)
        confidence, order = None, None
        if strategy.handover in RATING:
            confidence = self._model.rate(prefix, plan.actions, None)
            lap("rate")
            # A separate generator, so that all handovers have the same noise.
            aside = torch.Generator()
            aside.set_state(self._generator.get_state())
            order = self._order(aside) if strategy.handover == "keep_random" else None
        threshold = confidence_threshold(strategy, self._model.config)
        places = kept_places(plan, confidence, threshold, order, keeps_all=strategy.handover == "keep_all")
        return _Context(plan.actions, mask.masked_fill(places, 0), None)

    def _draft(
        self,
        prefix: Prefix,
        plan: Plan | None,
        context: _Context,
        noise: Tensor,
        strategy: Strategy,
        lap: Lap,
    ) -> Rated:
        """Generate drafts from ``noise`` (n, l, d) synchronously and return one."""
        config, n = self._model.config, len(noise)
        # Kept actions have no variance.
        known = torch.zeros_like(context.mask) if watches(strategy, config) else None
        drafts, denoised = self._generate(prefix, context, known, noise, steps=strategy.denoise_steps)
        lap("draft")
        confidence = None
        if n > 1 and strategy.choose == "rater":
            of_all = self._rate(prefix.repeat(n), drafts, drafts, denoised)
            lap("rate")
            best = int((of_all * context.mask).sum(1).argmax())
            draft, confidence, denoised = drafts[best, None], of_all[best, None], _row(denoised, best)
        else:
            draft, denoised = self._choose(drafts, denoised, plan, context, strategy=strategy)
            if rates(strategy, config):
                confidence = self._rate(prefix, draft, drafts, denoised)
                lap("rate")
        apart = spread(drafts, draft, self._dim_mask) if n > 1 else None
        return Rated(draft, confidence, denoised, apart, drafts=drafts)

    def _rate(self, prefix: Prefix, actions: Tensor, drafts: Tensor, denoised: Tensor | None) -> Tensor:
        """Compute the confidence (m, l) of actions (m, l, d), with the signals that the rater reads."""
        rater = self._model.config.rater
        reads = () if rater is None else rater.reads
        known = None if denoised is None else denoised[None]
        signals = action_signals(reads, actions[None], drafts[None], known, dim_mask=self._dim_mask)
        return self._model.rate(prefix, actions, None if signals is None else signals[0])

    def _choose(
        self,
        drafts: Tensor,
        denoised: Tensor | None,
        plan: Plan | None,
        context: _Context,
        strategy: Strategy,
    ) -> tuple[Tensor, Tensor | None]:
        """Combine all drafts to one without the rater; return it and its denoising variance."""
        if len(drafts) == 1:
            return drafts, denoised
        if strategy.choose == "mean":
            mean = weighted_mean(drafts, torch.ones_like(drafts[..., 0]), self._gripper)
            # A rater has learned to read the variance of a single draft.
            variance = None if denoised is None else denoised.mean(0, keepdim=True)
            return torch.where(context.mask[..., None] > 0, mean, context.kept), variance
        row = 0
        if strategy.choose == "medoid":
            row = int(medoid(drafts, context.mask))
        elif plan is not None:
            row = nearest(drafts, plan.actions, plan.weights())
        return drafts[row, None], _row(denoised, row)

    def _generate(
        self, prefix: Prefix, context: _Context, variance: Tensor | None, noise: Tensor, steps: int | None
    ) -> tuple[Tensor, Tensor | None]:
        """Generate actions (n, l, d); also their variance, if that of kept ones (1, l) is given."""
        assert steps is not None
        n, guidance = len(noise), context.guidance
        kept, mask = context.kept.expand(n, -1, -1), context.mask.expand(n, -1)
        velocities: list[Tensor] | None = None if variance is None else []
        given = (prefix, kept, mask, noise, self._dim_mask, steps, velocities)
        actions = self._model.sample(*given, guidance) if guidance else self._model.sample(*given)
        if velocities is None or variance is None:
            return actions, None
        fresh = flow.denoising_variance(velocities, self._dim_mask)
        return actions, torch.where(mask > 0, fresh, variance)

    def _select(self, rated: Rated, mask: Tensor, order: Tensor, strategy: Strategy) -> Tensor:
        """Return which actions to refine, (1, l) bool."""
        threshold = confidence_threshold(strategy, self._model.config)
        if strategy.select == "variance":
            assert strategy.threshold is not None
            threshold = strategy.threshold
        return select(
            str(strategy.select), threshold, mask, rated.confidence, variance=rated.variance, order=order
        )

    def _noise(self) -> Tensor:
        shape = (1, self._model.config.chunk_size, len(self._dim_mask))
        return torch.randn(shape, generator=self._generator).to(self._dim_mask.device)

    def _order(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(self._model.config.chunk_size, generator=generator)


def _row(values: Tensor | None, row: int) -> Tensor | None:
    return None if values is None else values[row, None]
