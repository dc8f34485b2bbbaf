"""Batches in the order of training, made ahead of it by worker processes.

Workers are forked, so that they share what the process has mapped and read; each opens its own videos.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sized
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from asyncvla_ros.model import flow
from asyncvla_ros.training.batches import Batch, Batches, Draws, random_numbers
from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.types import AsyncVLAError

_Step = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Drawing:
    """What is drawn for each observation.

    Attributes:
        seed: Of all draws.
        draws: Flow draws of each observation.
        p_sync: Share of draws with an all-ones mask.
        p_prefix: Share of draws that keep a contiguous prefix.
        p_earlier: Share of observations whose other kept actions are of a plan made earlier.
        max_age: Of those plans [control steps].
    """

    seed: int
    draws: int
    p_sync: float
    p_prefix: float
    p_earlier: float = 0.0
    max_age: int = 0

    def ages(self, positions: np.ndarray, generators: list[torch.Generator]) -> np.ndarray:
        """Draw how much earlier the plan was made of which each observation keeps parts, (b,); -1: none.

        Evenly spread over the positions: processes that share weights must make the same passes.
        """
        before, after = np.floor((positions + np.array([[0], [1]])) * self.p_earlier)
        drawn = [int(torch.randint(0, self.max_age + 1, (1,), generator=own)) for own in generators]
        return np.where(after > before, drawn, -1)

    def __call__(self, generators: list[torch.Generator], ages: np.ndarray, length: int, dims: int) -> Draws:
        """Draw for some observations, each with random numbers of its own.

        Args:
            generators: Of the observations.
            ages: (b,) of the plans of which they keep parts; -1: none.
            length: Of a chunk.
            dims: Of an action.
        """
        drawn = [self._one(own, int(age), length, dims) for own, age in zip(generators, ages, strict=True)]
        return Draws(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def _one(
        self, own: torch.Generator, age: int, length: int, dims: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        noise = torch.randn(self.draws, length, dims, generator=own)
        tau = flow.sample_times((self.draws,), own)
        mask, executed = flow.sample_masks(self.draws, length, self.p_sync, self.p_prefix, generator=own)
        if age >= 0:
            mask, executed = flow.keep_of_plan(mask, executed, age, own)
        return noise, tau, mask, executed


class _Samples(Dataset):
    """What a worker does: a step's positions and frames to a batch, or to the error of the data."""

    def __init__(self, batches: Batches, drawing: Drawing) -> None:
        self._batches = batches
        self._drawing = drawing

    def __getitem__(self, step: _Step) -> Batch | AsyncVLAError:
        positions, frames = step
        generators = [random_numbers(self._drawing.seed, position) for position in positions.tolist()]
        ages = self._drawing.ages(positions, generators)
        try:
            batch = self._batches.at(frames, generators)
            earlier = self._batches.earlier(frames, ages, generators)
        except AsyncVLAError as error:  # Raised in a worker it would come as a traceback.
            return error
        if earlier is not None:
            ages[earlier.rows] = earlier.age
        draws = self._drawing(generators, ages, *batch.actions.shape[1:])
        # What is not known cannot be kept.
        mask = torch.maximum(draws.mask, 1 - batch.known.amin(1)[:, None, None])
        return replace(batch, draws=replace(draws, mask=mask), earlier=earlier)


class _Steps(Sized):
    """The sampler: positions and frames of each step."""

    def __init__(self, order: Order, share: Share, start: int, stop: int) -> None:
        self._order, self._share, self._start, self._stop = order, share, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __iter__(self) -> Iterator[_Step]:
        return self._share.steps(self._order, self._start, self._stop)


def load_batches(
    batches: Batches, drawing: Drawing, order: Order, share: Share, start: int, stop: int, workers: int
) -> Iterator[Batch]:
    """Yield the batches of steps ``start`` to ``stop``, whatever the number of workers.

    Args:
        batches: The data.
        drawing: What is drawn for each observation.
        order: Of the frames.
        share: Of this process.
        start: First step.
        stop: One after the last step.
        workers: Processes that make batches ahead; 0: this one makes each when it is asked for.

    Raises:
        AsyncVLAError: If an image cannot be decoded.
    """
    loader: DataLoader = DataLoader(
        _Samples(batches, drawing),
        batch_size=None,
        sampler=_Steps(order, share, start, stop),
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        # Of its own, or it would take a number from the one that initializes networks.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, AsyncVLAError):
            raise batch
        yield batch


def _start_worker(_: int) -> None:
    # Ctrl-C is for the process that trains: it ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Its pool of threads does not survive a fork, and there are workers enough.
    cv2.setNumThreads(0)
