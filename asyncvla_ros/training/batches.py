"""Batches for both training loops: normalised, padded, augmented, with all that is random in them seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

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
class Draws:
    """Random draws of flow matching, k for each observation.

    Attributes:
        noise: (b, k, l, max_action_dim) standard normal.
        tau: (b, k) flow times.
        mask: (b, k, l), 1 where an action is generated.
    """

    noise: Tensor
    tau: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Batch:
    """Observations and what was done.

    Attributes:
        inputs: Of the network.
        actions: (b, l, max_action_dim) normalised, padding 0.
        dim_mask: (b, max_action_dim), 1 where an action dim is real rather than padding.
        privileged: (b, k) targets, normalised; None without them.
        episodes: (b,) running number of the episode of each observation.
        draws: Of flow matching; None where they are not needed.
    """

    inputs: Inputs
    actions: Tensor
    dim_mask: Tensor
    privileged: Tensor | None
    episodes: Tensor
    draws: Draws | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device; where the episodes' numbers are does not matter."""
        return replace(
            self,
            inputs=Inputs(*(getattr(self.inputs, field.name).to(device) for field in fields(Inputs))),
            actions=self.actions.to(device),
            dim_mask=self.dim_mask.to(device),
            privileged=None if self.privileged is None else self.privileged.to(device),
            draws=self.draws
            and Draws(*(getattr(self.draws, field.name).to(device) for field in fields(Draws))),
        )


class Batches:
    """Random access to normalised, padded, augmented batches.

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
        """The observations at some frames (b,), and the actions that follow them.

        Args:
            frames: Numbers of the frames.
            generator: For the augmentation; one for all, or one for each.
        """
        episodes, config, robots = self._mixture.episodes, self._config, self._mixture.robots
        robot = self._robot_of[np.searchsorted(self._starts, frames, side="right") - 1]
        states = _scaled(episodes.state[frames], [r.state_stats for r in robots], robot, config.max_state_dim)
        chunks = episodes.chunks(frames, config.action_chunk_size)
        actions = _scaled(chunks, [r.action_stats for r in robots], robot, config.max_action_dim)
        words = torch.from_numpy(episodes.instruction[frames])
        targets = None
        if episodes.privileged is not None and self._mixture.privileged is not None:
            targets = torch.from_numpy(self._mixture.privileged.normalize(episodes.privileged[frames]))
        return Batch(
            Inputs(self._images(frames, generator), self._words.ids[words], self._words.valid[words], states),
            actions,
            self._dim_masks[torch.from_numpy(robot)],
            targets,
            torch.from_numpy(episodes.episode[frames]),
        )

    def _images(self, frames: np.ndarray, generator: torch.Generator | Sequence[torch.Generator]) -> Tensor:
        if self._config.blank_images:
            lengths = (self._config.num_cameras, self._config.image_size, self._config.image_size, 3)
            return torch.zeros(len(frames), *lengths, dtype=torch.uint8)
        images = torch.from_numpy(self._mixture.episodes.images.take(frames))
        if isinstance(generator, torch.Generator):
            return augment(images, self._shift, self._brightness, generator)
        pieces = zip(images.split(1), generator, strict=True)
        return torch.cat([augment(image, self._shift, self._brightness, own) for image, own in pieces])


def _scaled(values: np.ndarray, stats: Sequence[NormStats], robot: np.ndarray, size: int) -> Tensor:
    """Each (..., w) of values (b, ..., w) normalised as its robot's, and padded with 0 to ``size``."""
    out = np.zeros((*values.shape[:-1], size), np.float32)
    for number in np.unique(robot).tolist():
        own, dims = robot == number, len(stats[number].mean)
        out[own, ..., :dims] = stats[number].normalize(values[own][..., :dims])
    return torch.from_numpy(out)


def augment(images: Tensor, shift: int, brightness: float, generator: torch.Generator) -> Tensor:
    """Shift and brighten each image of (b, cameras, h, w, 3) uint8; edges repeat."""
    b, cameras, h, w, _ = images.shape
    if shift:
        moves = torch.randint(-shift, shift + 1, (2, b, cameras, 1), generator=generator)
        rows = (torch.arange(h) + moves[0]).clamp(0, h - 1)
        columns = (torch.arange(w) + moves[1]).clamp(0, w - 1)
        batch, camera = torch.arange(b)[:, None, None, None], torch.arange(cameras)[None, :, None, None]
        images = images[batch, camera, rows[..., :, None], columns[..., None, :]]
    if brightness:
        gain = 1 + brightness * (2 * torch.rand(b, cameras, 1, 1, 3, generator=generator) - 1)
        images = (images * gain).clamp(0, 255).to(torch.uint8)
    return images


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """The random numbers of one training step: a function of seed, step and process alone."""
    return random_numbers(seed, step, rank)


def random_numbers(*words: int) -> torch.Generator:
    """Random numbers that are a function of some words alone, each from 0 to 2^32 - 1 or larger."""
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))
