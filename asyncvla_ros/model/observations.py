"""Conversion of observations to inputs of the network, with an error where they do not fit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from asyncvla_ros.model.asyncvla import Inputs
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.images import resize_image
from asyncvla_ros.model.text import encode_words, unknown_words
from asyncvla_ros.types import ContractError, Observation


class ObservationReader:
    """Convert observations of a checkpoint's robot.

    Args:
        checkpoint: Gives the cameras, the states and their statistics.
        device: Device of the network.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._features, self._stats = checkpoint.features, checkpoint.state_stats
        self._config, self._device = checkpoint.model.config, device
        tokenizer, limit, prompt = checkpoint.tokenizer, self._config.max_words, self._config.prompt
        # Cached, because many inferences have the same instruction.
        self.words = lru_cache(lambda instruction: encode_words(tokenizer, [instruction], limit, prompt))
        self.unknown_words = lru_cache(lambda instruction: unknown_words(tokenizer, instruction, limit))

    def inputs(self, observation: Observation) -> Inputs:
        """Convert one observation to inputs on the device.

        Raises:
            ContractError: If a camera is missing, or state or instruction do not fit the checkpoint.
        """
        state, words = self._state(observation), self.words(observation.instruction)
        images = [self._image(observation, camera.key) for camera in self._features.cameras]
        return Inputs(
            images=torch.from_numpy(np.stack(images))[None].to(self._device),
            token_ids=words.ids.to(self._device),
            token_mask=words.valid.to(self._device),
            state=torch.from_numpy(state)[None].to(self._device),
        )

    def blank(self, words: int) -> Inputs:
        """Return a black observation with an instruction of a given number of words."""
        size, cameras = self._config.image_size, self._config.num_cameras
        return Inputs(
            images=torch.zeros(1, cameras, size, size, 3, dtype=torch.uint8, device=self._device),
            token_ids=torch.zeros(1, words, dtype=torch.long, device=self._device),
            token_mask=torch.ones(1, words, dtype=torch.bool, device=self._device),
            state=torch.zeros(1, self._config.max_state_dim, device=self._device),
        )

    def _state(self, observation: Observation) -> np.ndarray:
        state, names = np.asarray(observation.state, np.float32), self._features.state_names
        if state.shape != (len(names),):
            raise ContractError(
                f"state has shape {state.shape}, expected {len(names)} numbers: {list(names)}"
            )
        broken = [
            f"{name} = {value}" for name, value in zip(names, state, strict=True) if not np.isfinite(value)
        ]
        if broken:
            raise ContractError(f"state is not finite: {', '.join(broken)}")
        padded = np.zeros(self._config.max_state_dim, np.float32)
        padded[: len(names)] = self._stats.normalize(state)
        return padded

    def _image(self, observation: Observation, key: str) -> np.ndarray:
        if key not in observation.images:
            raise ContractError(
                f"camera {key!r} is missing; the observation has {sorted(observation.images)}"
            )
        image = resize_image(observation.images[key], self._config.image_size)
        return np.zeros_like(image) if self._config.blank_images else image
