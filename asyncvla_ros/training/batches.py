"""Batches for both training loops: seeded by step, so that a resumed run sees what it would have seen."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.model.asyncvla import Inputs
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.text import encode_words


@dataclass(frozen=True)
class Batch:
    """Inputs, actions (b, l, max_action_dim) and privileged targets (b, k) or None, both normalised."""

    inputs: Inputs
    actions: Tensor
    privileged: Tensor | None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        inputs = Inputs(*(getattr(self.inputs, field.name).to(device) for field in fields(Inputs)))
        privileged = None if self.privileged is None else self.privileged.to(device)
        return Batch(inputs, self.actions.to(device), privileged)


class Batches:
    """Random access to normalised, padded, augmented batches.

    Args:
        episodes: The data.
        config: Chunk length and padded dims.
        tokenizer: For the instructions.
        state_stats: Of the state.
        action_stats: Of the actions.
        shift: Images move by up to this many pixels each way; 0 for evaluation.
        brightness: Images are scaled by 1 +- this; 0 for evaluation.
    """

    def __init__(
        self,
        episodes: Episodes,
        config: AsyncVLAConfig,
        tokenizer: Tokenizer,
        state_stats: NormStats,
        action_stats: NormStats,
        shift: int = 0,
        brightness: float = 0.0,
    ) -> None:
        self._episodes = episodes
        self._config = config
        self._state = _pad(state_stats.normalize(episodes.state), config.max_state_dim)
        self._action_stats = action_stats
        self._words = encode_words(tokenizer, episodes.instructions, config.max_words)
        self._shift = shift
        self._brightness = brightness
        targets = episodes.privileged
        self._privileged = None if targets is None else NormStats.of(targets).normalize(targets)

    def at(self, frames: np.ndarray, generator: torch.Generator) -> Batch:
        """The observations at some frames (b,), and the actions that follow them."""
        episodes = self._episodes
        words = torch.from_numpy(episodes.instruction[frames])
        chunk = self._action_stats.normalize(episodes.chunks(frames, self._config.action_chunk_size))
        images = torch.from_numpy(episodes.images.take(frames))
        if self._config.blank_images:
            images.zero_()
        return Batch(
            Inputs(
                augment(images, self._shift, self._brightness, generator),
                self._words.ids[words],
                self._words.valid[words],
                torch.from_numpy(self._state[frames]),
            ),
            torch.from_numpy(_pad(chunk, self._config.max_action_dim)),
            None if self._privileged is None else torch.from_numpy(self._privileged[frames]),
        )


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
    words = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> 1))


def _pad(values: np.ndarray, size: int) -> np.ndarray:
    padded = np.zeros((*values.shape[:-1], size), np.float32)
    padded[..., : values.shape[-1]] = values
    return padded
