"""A real checkpoint with random weights that loads and infers in a moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint, save_checkpoint
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.sizes import nano_config, tiny_config
from asyncvla_ros.model.text import build_tokenizer
from asyncvla_ros.types import FeatureContract
from support.contracts import libero_features

INSTRUCTIONS = ("pick up the milk and place it in the basket", "lift it")


def tiny_checkpoint(
    folder: Path,
    n_action_steps: int = 4,
    instructions: Sequence[str] = INSTRUCTIONS,
    vision: str = "tower",
    **feature_changes: Any,
) -> Path:
    """Write a checkpoint for libero_panda; ``feature_changes`` make it one for another robot."""
    features = libero_features(**feature_changes)
    tokenizer = build_tokenizer(list(instructions))
    config = nano_config(
        tokenizer.get_vocab_size(),
        num_cameras=len(features.cameras),
        num_denoise_steps=2,
        num_refine_steps=2,
        n_action_steps=n_action_steps,
        vision=vision,
        rater=RaterConfig(num_layers=1),
    )
    text = {**config.backbone["text_config"], "num_hidden_layers": 1}
    tower = {**config.backbone["vision_config"], "depth": 1, "fullatt_block_indexes": [0]}
    config = dataclasses.replace(
        config, backbone={**config.backbone, "text_config": text, "vision_config": tower}
    )
    return _save(folder, config, tokenizer, features)


def full_shape_checkpoint(folder: Path) -> Path:
    """Write a checkpoint for libero_panda that has the shape of the 3B one, in bfloat16."""
    features, tokenizer = libero_features(), build_tokenizer(INSTRUCTIONS)
    config = tiny_config(
        tokenizer.get_vocab_size(), dtype="bfloat16", num_denoise_steps=2, rater=RaterConfig(num_layers=1)
    )
    return _save(folder, config, tokenizer, features)


def _save(folder: Path, config: AsyncVLAConfig, tokenizer: Tokenizer, features: FeatureContract) -> Path:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    save_checkpoint(
        folder,
        Checkpoint(
            AsyncVLA(config),
            tokenizer,
            features,
            NormStats.of(rng.normal(size=(100, len(features.state_names)))),
            NormStats.of(rng.uniform(-1, 1, size=(100, len(features.action_names)))),
        ),
    )
    return folder
