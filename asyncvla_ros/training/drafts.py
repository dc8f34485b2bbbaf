"""Drafts of a frozen policy beside what was demonstrated: what a rater learns from and is measured on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.model import flow
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.rater import token_errors
from asyncvla_ros.training.batches import Batch, Batches

_CHUNK = 64


@dataclass(frozen=True)
class Drafts:
    """Synchronous drafts; n is observations times drafts of each.

    Attributes:
        prefix: Of n observations, each repeated for its drafts.
        actions: (n, l, d) normalised.
        errors: (n, l), mean squared error over dims.
        variance: (n, l), see ``flow.denoising_variance``.
    """

    prefix: Prefix
    actions: Tensor
    errors: Tensor
    variance: Tensor


class Drafter:
    """The frozen policy.

    Args:
        base: The policy.
        precision: Makes the context in which it computes, such as autocast.
    """

    def __init__(self, base: Checkpoint, precision: Callable[[], AbstractContextManager[None]]) -> None:
        self._model = base.model
        self._precision = precision
        self._device = base.model.device
        self._dim_mask = torch.zeros(base.model.config.max_action_dim, device=self._device)
        self._dim_mask[: len(base.features.action_names)] = 1

    @torch.no_grad()
    def __call__(self, batch: Batch, generator: torch.Generator, drafts: int = 1) -> Drafts:
        """Several drafts of each observation, from different noise on one prefix pass."""
        batch = batch.to(self._device).augmented()
        truth = batch.actions.repeat_interleave(drafts, dim=0)
        noise = torch.randn(truth.shape, generator=generator).to(self._device)
        velocities: list[Tensor] = []
        with self._precision():
            prefix = self._model.encode(batch.inputs).repeat(drafts)
            mask = torch.ones(truth.shape[:2], device=self._device)
            steps = self._model.config.num_denoise_steps
            actions = self._model.sample(prefix, truth, mask, noise, self._dim_mask, steps, velocities)
        errors = token_errors(actions, truth, self._dim_mask)
        return Drafts(prefix, actions, errors, flow.denoising_variance(velocities, self._dim_mask))

    def some(
        self, batches: Batches, frames: np.ndarray, count: int, generator: torch.Generator
    ) -> list[tuple[np.ndarray, Drafts]]:
        """One draft at ``count`` random frames, in pieces: (frames (b,), their drafts)."""
        chosen = frames[torch.randperm(len(frames), generator=generator)[:count].numpy()]
        parts = np.array_split(chosen, max(1, len(chosen) // _CHUNK))
        return [(part, self(batches.at(part, generator), generator)) for part in parts]
