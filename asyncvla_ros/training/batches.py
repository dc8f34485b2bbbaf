"""Batches for both training loops: normalized, padded, augmented, with all randomness seeded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.data.mixture import Mixture
from asyncvla_ros.model.asyncvla import Inputs
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.text import encode_words


@dataclass(frozen=True)
class Augmentation:
    """How each image of a batch is changed.

    Attributes:
        moves: (b, cameras, 2) pixels by which rows and columns move.
        gain: (b, cameras, 3) factor on each color.
    """

    moves: Tensor
    gain: Tensor

    @staticmethod
    def draw(
        count: int, cameras: int, shift: int, brightness: float, generator: torch.Generator
    ) -> Augmentation:
        """Draw shifts by up to ``shift`` pixels each way, and gains of 1 +- ``brightness``."""
        moves = torch.randint(-shift, shift + 1, (count, cameras, 2), generator=generator)
        return Augmentation(
            moves, 1 + brightness * (2 * torch.rand(count, cameras, 3, generator=generator) - 1)
        )

    def of(self, images: Tensor) -> Tensor:
        """Shift and brighten images (b, cameras, h, w, 3) uint8; edges repeat."""
        b, cameras, h, w, _ = images.shape
        device, moves = images.device, self.moves
        rows = (torch.arange(h, device=device) + moves[..., :1]).clamp(0, h - 1)
        columns = (torch.arange(w, device=device) + moves[..., 1:]).clamp(0, w - 1)
        batch = torch.arange(b, device=device)[:, None, None, None]
        camera = torch.arange(cameras, device=device)[None, :, None, None]
        shifted = images[batch, camera, rows[..., :, None], columns[..., None, :]]
        return (shifted * self.gain[:, :, None, None]).clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Draws:
    """Random draws of flow matching, k for each observation.

    Attributes:
        noise: (b, k, l, max_action_dim) standard normal.
        tau: (b, k) flow times.
        mask: (b, k, l), 1 where an action is generated.
        executed: (b, k) so many leading actions are kept as they were executed rather than as they are to be.
    """

    noise: Tensor
    tau: Tensor
    mask: Tensor
    executed: Tensor


@dataclass(frozen=True)
class Earlier:
    """Observations from which a policy drew up the plan that it may keep parts of; c of them.

    Attributes:
        inputs: Of the network.
        rows: (c,) to which observations of the batch they belong.
        age: (c,) control steps before those.
        noise: (c, l, max_action_dim) from which the plan is generated.
        augmentation: As of the batch.
    """

    inputs: Inputs
    rows: Tensor
    age: Tensor
    noise: Tensor
    augmentation: Augmentation | None = None

    def part(self, rows: slice) -> Earlier | None:
        """Return the part of some observations of the batch, counted from the first of these; None: empty."""
        own = (self.rows >= rows.start) & (self.rows < rows.stop)
        if not own.any():
            return None
        chosen: Earlier = _mapped(self, lambda tensor: tensor[own])
        return replace(chosen, rows=chosen.rows - rows.start)


@dataclass(frozen=True)
class Batch:
    """Observations and what was done.

    Attributes:
        inputs: Of the network.
        actions: (b, l, max_action_dim) normalized, padding 0.
        dim_mask: (b, max_action_dim), 1 where an action dim is real rather than padding.
        privileged: (b, k) targets, normalized; None without them.
        episodes: (b,) running number of the episode of each observation.
        executed: (b, l, max_action_dim) what was done in place of the actions, normalized likewise.
        known: (b, l), 1 where the action is known: in a view, see ``sim.views``, only the first is.
        augmentation: Of the images, not yet applied; see ``augmented``.
        draws: Of flow matching; None where they are not needed.
        earlier: Observations before these, whose plans may be kept; None where they are not needed.
    """

    inputs: Inputs
    actions: Tensor
    dim_mask: Tensor
    privileged: Tensor | None
    episodes: Tensor
    executed: Tensor
    known: Tensor
    augmentation: Augmentation | None = None
    draws: Draws | None = None
    earlier: Earlier | None = None

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to another device, except the episodes' numbers."""
        moved = _mapped(self, lambda tensor: tensor.to(device, non_blocking=True))
        return replace(moved, episodes=self.episodes)

    def pin_memory(self) -> Batch:
        """Copy the batch to memory from which a GPU copies fast; torch calls this name."""
        return _mapped(self, Tensor.pin_memory)

    def part(self, rows: slice) -> Batch:
        """Return some of its observations."""
        chosen: Batch = _mapped(replace(self, earlier=None), lambda tensor: tensor[rows])
        return replace(chosen, earlier=self.earlier and self.earlier.part(rows))

    def augmented(self) -> Batch:
        """Return the batch with its images shifted and brightened, on whatever device it is."""
        earlier = self.earlier and replace(
            self.earlier, inputs=_augmented(self.earlier.inputs, self.earlier.augmentation), augmentation=None
        )
        return replace(
            self, inputs=_augmented(self.inputs, self.augmentation), augmentation=None, earlier=earlier
        )


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change every tensor of a dataclass of tensors, dataclasses and None."""
    if isinstance(value, Tensor):
        return change(value)
    if value is None:
        return None
    return replace(
        value, **{field.name: _mapped(getattr(value, field.name), change) for field in fields(value)}
    )


def _augmented(inputs: Inputs, augmentation: Augmentation | None) -> Inputs:
    return inputs if augmentation is None else replace(inputs, images=augmentation.of(inputs.images))


class Batches:
    """Random access to normalized, padded, augmented batches.

    Args:
        mixture: The data, and the statistics of each robot in it.
        config: Chunk length and padded dims.
        tokenizer: For the instructions.
        shift: Images move by up to this many pixels each way; 0 for evaluation.
        brightness: Images are scaled by 1 +- this; 0 for evaluation.
    """

    def __init__(
        self,
        mixture: Mixture,
        config: AsyncVLAConfig,
        tokenizer: Tokenizer,
        shift: int = 0,
        brightness: float = 0.0,
    ) -> None:
        self._mixture = mixture
        self._config = config
        self._words = encode_words(tokenizer, mixture.episodes.instructions, config.max_words, config.prompt)
        self._shift = shift
        self._brightness = brightness
        self._starts = np.cumsum([0, *mixture.episodes.images.lengths])
        self._robot_of = np.array(mixture.robot_of)
        self._dim_masks = torch.zeros(len(mixture.robots), config.max_action_dim)
        for number, robot in enumerate(mixture.robots):
            self._dim_masks[number, : len(robot.features.action_names)] = 1

    def at(self, frames: np.ndarray, generator: torch.Generator | Sequence[torch.Generator]) -> Batch:
        """Return the observations at frames (b,), not yet augmented, and the actions that follow.

        Args:
            frames: Numbers of the frames.
            generator: For the augmentation; one for all, or one for each.
        """
        episodes, config, robots = self._mixture.episodes, self._config, self._mixture.robots
        robot = self._robot(frames)
        length, stats = config.chunk_size, [r.action_stats for r in robots]
        actions = _scaled(episodes.chunks(frames, length), stats, robot, config.max_action_dim)
        executed = _scaled(episodes.executed_chunks(frames, length), stats, robot, config.max_action_dim)
        targets = None
        if episodes.privileged is not None and self._mixture.privileged is not None:
            targets = torch.from_numpy(self._mixture.privileged.normalize(episodes.privileged[frames]))
        return Batch(
            self._inputs(frames, robot),
            actions,
            self._dim_masks[torch.from_numpy(robot)],
            targets,
            episodes=torch.from_numpy(episodes.episode[frames]),
            executed=executed,
            known=self._known(frames, length),
            augmentation=self._augmentation(len(frames), generator),
        )

    def earlier(
        self, frames: np.ndarray, ages: np.ndarray, generators: Sequence[torch.Generator]
    ) -> Earlier | None:
        """Return observations before those at some frames (b,), by ages (b,) [control steps]; -1: none.

        Where the episode is younger than that, the observation itself is given.
        """
        rows = np.flatnonzero(ages >= 0)
        if not len(rows):
            return None
        episode = self._mixture.episodes.episode
        before = np.maximum(frames[rows] - ages[rows], 0)
        before = np.where(episode[before] == episode[frames[rows]], before, frames[rows])
        chosen = [generators[row] for row in rows]
        shape = (self._config.chunk_size, self._config.max_action_dim)
        return Earlier(
            self._inputs(before, self._robot(before)),
            torch.from_numpy(rows),
            torch.from_numpy(frames[rows] - before),
            torch.stack([torch.randn(shape, generator=own) for own in chosen]),
            augmentation=self._augmentation(len(rows), chosen),
        )

    def _known(self, frames: np.ndarray, length: int) -> Tensor:
        is_view = self._mixture.episodes.is_view(frames)
        return torch.from_numpy(~is_view[:, None] | (np.arange(length) == 0)).float()

    def _robot(self, frames: np.ndarray) -> np.ndarray:
        return self._robot_of[np.searchsorted(self._starts, frames, side="right") - 1]

    def _inputs(self, frames: np.ndarray, robot: np.ndarray) -> Inputs:
        episodes, config = self._mixture.episodes, self._config
        stats = [r.state_stats for r in self._mixture.robots]
        states = _scaled(episodes.state[frames], stats, robot, config.max_state_dim)
        words = torch.from_numpy(episodes.instruction[frames])
        return Inputs(self._images(frames), self._words.ids[words], self._words.valid[words], states)

    def _images(self, frames: np.ndarray) -> Tensor:
        if self._config.blank_images:
            lengths = (self._config.num_cameras, self._config.image_size, self._config.image_size, 3)
            return torch.zeros(len(frames), *lengths, dtype=torch.uint8)
        return torch.from_numpy(self._mixture.episodes.images.take(frames))

    def _augmentation(
        self, count: int, generator: torch.Generator | Sequence[torch.Generator]
    ) -> Augmentation | None:
        if not self._shift and not self._brightness:
            return None
        cameras = self._config.num_cameras
        if isinstance(generator, torch.Generator):
            return Augmentation.draw(count, cameras, self._shift, self._brightness, generator=generator)
        drawn = [
            Augmentation.draw(1, cameras, self._shift, self._brightness, generator=own) for own in generator
        ]
        return Augmentation(torch.cat([one.moves for one in drawn]), torch.cat([one.gain for one in drawn]))


def _scaled(values: np.ndarray, stats: Sequence[NormStats], robot: np.ndarray, size: int) -> Tensor:
    """Normalize each (..., w) of values (b, ..., w) as its robot's, and pad it with 0 to ``size``."""
    out = np.zeros((*values.shape[:-1], size), np.float32)
    for number in np.unique(robot).tolist():
        own, dims = robot == number, len(stats[number].mean)
        out[own, ..., :dims] = stats[number].normalize(values[own][..., :dims])
    return torch.from_numpy(out)


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """Return the random numbers of one training step, from seed, step and process alone."""
    return random_numbers(seed, step, rank)


def random_numbers(*words: int) -> torch.Generator:
    """Seed random numbers by some words alone, each from 0 to 2^32 - 1 or larger."""
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))
