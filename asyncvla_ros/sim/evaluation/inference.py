"""One record per inference of an episode, and what is derived from several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.types import ActionChunk


@dataclass(frozen=True)
class Inference:
    """What was asked and what came; its numbers are means over the actions of the chunk.

    Attributes:
        step: Control step of the observation.
        seed: Of the noise.
        instruction: As the policy was told.
        chunk: The answer.
    """

    step: int
    seed: int
    instruction: str
    chunk: ActionChunk

    @property
    def inference_ms(self) -> float:
        """What it took [ms]."""
        return self.chunk.times.total

    @property
    def refine_ms(self) -> float:
        """What rating and refining took of it [ms]."""
        return self.chunk.times.rate + self.chunk.times.refine

    @property
    def refined(self) -> float:
        """Share of the actions that were refined."""
        return float(np.mean(self.chunk.refined))

    @property
    def kept(self) -> float:
        """Share of the actions that are of the plan before."""
        if self.chunk.kept is None:
            return self.chunk.n_frozen / len(self.chunk.actions)
        return float(np.mean(self.chunk.kept))

    @property
    def confidence(self) -> float | None:
        """Of the rater; None without one."""
        return _mean(self.chunk.confidence)

    @property
    def variance(self) -> float | None:
        """See ``ActionChunk``; None if nothing reads it."""
        return _mean(self.chunk.variance)

    @property
    def surprise(self) -> float | None:
        """See ``ActionChunk``; None without a monitor."""
        return self.chunk.surprise

    @property
    def disagreement(self) -> float | None:
        """See ``ActionChunk``; None without a plan before."""
        return self.chunk.disagreement


def series(inferences: Sequence[Inference], field: str) -> tuple[float | None, ...]:
    """Return one number per inference, short enough to be stored; empty where none is known."""
    values = [getattr(inference, field) for inference in inferences]
    if all(value is None for value in values):
        return ()
    return tuple(None if value is None else float(f"{value:.4g}") for value in values)


def mean_of(inferences: Sequence[Inference], field: str) -> float | None:
    """Return the mean over inferences; None where it is not known of all."""
    values = [getattr(inference, field) for inference in inferences]
    return float(np.mean(values)) if values and None not in values else None


def _mean(values: np.ndarray | None) -> float | None:
    return None if values is None else float(np.mean(values))
