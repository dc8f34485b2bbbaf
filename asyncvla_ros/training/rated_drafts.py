"""Drafts of unseen observations with all that could predict their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from asyncvla_ros.data.rows import Column
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.training.batches import Batches, step_generator
from asyncvla_ros.training.drafts import Drafter, Drafts

# Rated observations at most.
OBSERVATIONS = 1024


@dataclass(frozen=True)
class RatedDrafts:
    """n = b * k drafts of b observations; those of an observation in a row.

    Attributes:
        confidence: (n, l) of the rater; None without one.
        variance: (n, l), see ``flow.denoising_variance``; None of a single step.
        error: (n, l) mean squared error, normalized units.
        episode: (n,) which episode each draft belongs to.
        count: Drafts k of each observation.
        to_mean: (n, l) squared distance to the mean of the drafts; None of single drafts.
        to_medoid: (n, l) that to their medoid; None of single drafts.
        error_of_mean: (b, l) that of the mean of the drafts; None of single drafts.
    """

    confidence: np.ndarray | None
    variance: np.ndarray | None
    error: np.ndarray
    episode: np.ndarray
    count: int = 1
    to_mean: np.ndarray | None = None
    to_medoid: np.ndarray | None = None
    error_of_mean: np.ndarray | None = None

    @property
    def doubts(self) -> dict[str, np.ndarray]:
        """Each (n, l), larger where a larger error is expected: of ``rater`` and its rivals, if known."""
        doubt = None if self.confidence is None else -self.confidence
        known = {"rater": doubt, "variance": self.variance, "mean": self.to_mean, "medoid": self.to_medoid}
        return {name: values for name, values in known.items() if values is not None}

    def grouped(self, values: np.ndarray) -> np.ndarray:
        """Group drafts by observation, (n, l) -> (b, k, l)."""
        return values.reshape(-1, self.count, values.shape[-1])


@torch.no_grad()
def rate_drafts(
    drafter: Drafter,
    model: AsyncVLA,
    batches: Batches,
    frames: np.ndarray,
    episode: Column,
    seed: int,
    count: int = 1,
) -> RatedDrafts:
    """Draft and rate at up to ``OBSERVATIONS`` of some frames.

    Args:
        drafter: The frozen policy.
        model: The policy with its rater.
        batches: The data, without augmentation.
        frames: (m,) of episodes that trained neither policy nor rater.
        episode: (frames of the whole data,) episode of each frame.
        seed: Determines frames and noise.
        count: Drafts of each.
    """
    generator = step_generator(seed, 2**31)
    pieces: list[dict[str, np.ndarray]] = []
    for part, drafts in drafter.some(batches, frames, OBSERVATIONS, generator, drafts=count):
        known = _known(model, drafts)
        known["episode"] = np.repeat(episode[part], count)
        pieces.append(known)
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    return RatedDrafts(**{"confidence": None, "variance": None, **joined}, count=count)


def _known(model: AsyncVLA, drafts: Drafts) -> dict[str, np.ndarray]:
    """Return the fields of ``RatedDrafts`` by name."""
    known = {"error": drafts.errors}
    if model.rater is not None:
        assert model.config.rater is not None
        reads = model.config.rater.reads
        known["confidence"] = model.rate(drafts.prefix, drafts.actions, drafts.signals(reads))
    if drafts.variance is not None:
        known["variance"] = drafts.variance
    if drafts.count > 1:
        signals = drafts.signals(("mean", "medoid"))
        assert signals is not None
        known["error_of_mean"] = drafts.errors_of_mean
        known["to_mean"], known["to_medoid"] = signals.unbind(-1)
    return {name: values.numpy(force=True) for name, values in known.items()}
