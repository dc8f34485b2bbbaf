"""In which order frames are trained on: a function of seed and epoch, whatever the number of processes.

Positions count the frames from the beginning of a run, over all processes and epochs. Step s takes the
positions s*b to (s+1)*b, of which each process takes a piece, so several see together what one would see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from asyncvla_ros.training.batches import random_numbers
from asyncvla_ros.types import AsyncVLAError

# Sets these random numbers apart from those of samples.
_ORDER = 2**32 - 1


@dataclass(frozen=True)
class _Stretch:
    """Entries of an epoch from ``start`` on: some of the frames of one dataset.

    Attributes:
        start: Its first entry.
        begin: Place of the dataset's first frame among all frames that are trained on.
        count: Frames of the dataset.
        size: Entries: a multiple of ``count`` (each frame as often), or fewer (a random part of them).
    """

    start: int
    begin: int
    count: int
    size: int


class Order:
    """Random access to an endless stream of frames.

    In each epoch, a dataset with weight w contributes each of its frames floor(w) times, and of the rest of w
    a random part of its frames; everything is shuffled together.

    Args:
        frames: (m,) frames to train on, increasing.
        lengths: Frames of each dataset, trained on or not.
        weights: Of each dataset.
        seed: Of the order.

    Raises:
        AsyncVLAError: If nothing is left of an epoch.
    """

    def __init__(
        self, frames: np.ndarray, lengths: Sequence[int], weights: Sequence[float], seed: int
    ) -> None:
        self._frames = frames
        self._seed = seed
        bounds = np.searchsorted(frames, np.cumsum([0, *lengths])).tolist()
        self._stretches: list[_Stretch] = []
        self.epoch_size = 0
        for begin, end, weight in zip(bounds[:-1], bounds[1:], weights, strict=True):
            count = end - begin
            for size in (int(weight) * count, round((weight - int(weight)) * count)):
                if size:
                    self._stretches.append(_Stretch(self.epoch_size, begin, count, size))
                    self.epoch_size += size
        if not self.epoch_size:
            raise AsyncVLAError(f"weights {list(weights)} leave none of {len(frames)} frames to train on")
        self._starts = [stretch.start for stretch in self._stretches]
        self._epoch = -1
        self._entries = np.empty(0, np.int64)
        self._parts: dict[int, np.ndarray] = {}

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the frames at some positions, (b,) -> (b,)."""
        out = np.empty(len(positions), np.int64)
        epochs = positions // self.epoch_size
        for epoch in np.unique(epochs).tolist():
            self._shuffle(epoch)
            chosen = epochs == epoch
            out[chosen] = self._lookup(self._entries[positions[chosen] % self.epoch_size])
        return out

    def _shuffle(self, epoch: int) -> None:
        """Prepare an epoch; only the newest is kept in memory."""
        if epoch == self._epoch:
            return
        generator = random_numbers(self._seed, epoch, _ORDER)
        self._parts = {
            number: torch.randperm(stretch.count, generator=generator)[: stretch.size].numpy()
            for number, stretch in enumerate(self._stretches)
            if stretch.size < stretch.count
        }
        self._entries = torch.randperm(self.epoch_size, generator=generator).numpy()
        self._epoch = epoch

    def _lookup(self, entries: np.ndarray) -> np.ndarray:
        """Return the frames of some entries of the epoch, (b,) -> (b,)."""
        out = np.empty_like(entries)
        owner = np.searchsorted(self._starts, entries, side="right") - 1
        for number in np.unique(owner).tolist():
            stretch, mine = self._stretches[number], owner == number
            within = entries[mine] - stretch.start
            within = self._parts[number][within] if number in self._parts else within % stretch.count
            out[mine] = self._frames[stretch.begin + within]
        return out


@dataclass(frozen=True)
class Share:
    """The part of every step that one of several processes takes.

    Attributes:
        batch: Observations of a step, over all processes.
        rank: Of this process.
        processes: How many there are; ``batch`` is a multiple.
    """

    batch: int
    rank: int = 0
    processes: int = 1

    def positions(self, step: int) -> np.ndarray:
        """Return the positions (b,) of a step that are this process's."""
        size = self.batch // self.processes
        first = step * self.batch + self.rank * size
        return np.arange(first, first + size)

    def steps(self, order: Order, start: int, stop: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield positions and frames of each step from ``start`` on."""
        for step in range(start, stop):
            positions = self.positions(step)
            yield positions, order.at(positions)
