"""Drafts of a frozen policy beside what was demonstrated: what a rater learns from and is measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.model import flow
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.rater import token_errors
from asyncvla_ros.model.signals import action_signals
from asyncvla_ros.training.batches import Batch, Batches

_CHUNK = 64


@dataclass(frozen=True)
class Drafts:
    """Synchronous drafts of b observations, n = b * k of them; those of an observation in a row.

    Attributes:
        prefix: Of n observations, each repeated for its drafts; without the keys and values that only
            sampling reads.
        actions: (n, l, d) normalized.
        truth: (n, l, d) demonstrated, normalized.
        variance: (n, l), see ``flow.denoising_variance``; None of a single step.
        count: Drafts k of each observation.
        dim_mask: (d,), 1 where an action dim is real.
    """

    prefix: Prefix
    actions: Tensor
    truth: Tensor
    variance: Tensor | None
    count: int
    dim_mask: Tensor

    @property
    def errors(self) -> Tensor:
        """Mean squared error over dims, (n, l)."""
        return token_errors(self.actions, self.truth, self.dim_mask)

    @property
    def errors_of_mean(self) -> Tensor:
        """That of the mean of the drafts of each observation, (b, l)."""
        mean, truth = self.grouped(self.actions).mean(1), self.grouped(self.truth)[:, 0]
        return token_errors(mean, truth, self.dim_mask)

    def grouped(self, values: Tensor) -> Tensor:
        """Group drafts by observation, (n, ...) -> (b, k, ...)."""
        return values.unflatten(0, (-1, self.count))

    def signals(self, reads: Sequence[str]) -> Tensor | None:
        """Return what a rater reads of each action, (n, l, len(reads)); None if nothing."""
        actions = self.grouped(self.actions)
        variance = None if self.variance is None else self.grouped(self.variance)
        signals = action_signals(reads, actions, actions, variance, dim_mask=self.dim_mask)
        return None if signals is None else signals.flatten(0, 1)


class Drafter:
    """Makes drafts by a frozen policy.

    Args:
        base: The policy.
        precision: Makes the context in which it computes, such as autocast.
        steps: Euler steps of a draft; None: as the policy's config says.
    """

    def __init__(
        self,
        base: Checkpoint,
        precision: Callable[[], AbstractContextManager[None]],
        steps: int | None = None,
    ) -> None:
        self._model = base.model
        self._precision = precision
        self._steps = steps or base.model.config.num_denoise_steps
        self._device = base.model.device
        self._dim_mask = torch.zeros(base.model.config.max_action_dim, device=self._device)
        self._dim_mask[: len(base.features.action_names)] = 1

    @torch.no_grad()
    def __call__(self, batch: Batch, generator: torch.Generator, drafts: int = 1) -> Drafts:
        """Make several drafts of each observation, from different noise on one prefix pass."""
        batch = batch.to(self._device).augmented()
        truth = batch.actions.repeat_interleave(drafts, dim=0)
        noise = torch.randn(truth.shape, generator=generator).to(self._device)
        velocities: list[Tensor] = []
        with self._precision():
            prefix = self._model.encode(batch.inputs)
            mask = torch.ones(truth.shape[:2], device=self._device)
            actions = self._model.sample(
                prefix, truth, mask, noise, dim_mask=self._dim_mask, steps=self._steps, velocities=velocities
            )
        variance = flow.denoising_variance(velocities, self._dim_mask) if self._steps > 1 else None
        seen = replace(prefix, keys=(), values=()).repeat(drafts)
        return Drafts(seen, actions, truth, variance, count=drafts, dim_mask=self._dim_mask)

    def some(
        self, batches: Batches, frames: np.ndarray, count: int, generator: torch.Generator, drafts: int = 1
    ) -> list[tuple[np.ndarray, Drafts]]:
        """Make drafts at ``count`` random frames, in pieces: (frames (b,), ``drafts`` of each)."""
        chosen = frames[torch.randperm(len(frames), generator=generator)[:count].numpy()]
        parts = np.array_split(chosen, max(1, len(chosen) // _CHUNK))
        return [(part, self(batches.at(part, generator), generator, drafts)) for part in parts]
