"""Everything that decides the shape of an AsyncVLA network, as one frozen value.

The backbone is described by the keyword arguments of transformers' ``Qwen2_5_VLConfig``, so a ``nano``
network and a 3B one are the same classes with other numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from asyncvla_ros.robot.feature_file import read_json
from asyncvla_ros.types import CheckpointError

# What is counted in a config: at least one, and no more than any network has.
COUNTS = (
    "num_cameras", "image_size", "max_words", "action_chunk_size", "max_state_dim", "max_action_dim",
    "num_action_layers", "num_denoise_steps", "num_refine_steps", "execute_steps",
)  # fmt: skip
MOST = 2**16
ATTENTIONS = ("matmul", "sdpa")
RATER_LABELS = ("absolute", "position", "relative")


@dataclass(frozen=True)
class RaterConfig:
    """The confidence rater: decoder layers of the backbone's width with full attention.

    Attributes:
        num_layers: Decoder layers.
        label: One of ``RATER_LABELS``, see ``model.rater``.
        error_scale: Mean squared error at which the label is 0.5 (normalised action units): one number for
            ``absolute``, one for each place in the chunk for ``position``, unused by ``relative``.
        threshold: Actions rated below it are generated again.
        reads_variance: Whether it also reads each action's ``flow.denoising_variance``; the paper's does not.
    """

    num_layers: int = 2
    label: str = "absolute"
    error_scale: float | tuple[float, ...] = 0.1
    threshold: float = 0.5
    reads_variance: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise CheckpointError(f"threshold is {self.threshold!r}, expected a confidence from 0 to 1")
        if self.label not in RATER_LABELS:
            raise CheckpointError(f"the rater's label is {self.label!r}, choose one of {RATER_LABELS}")
        _require_count("the rater's num_layers", self.num_layers)
        scales = self.error_scale if isinstance(self.error_scale, tuple) else (self.error_scale,)
        if not scales or not all(isinstance(scale, int | float) and 0 < scale < math.inf for scale in scales):
            raise CheckpointError(
                f"the rater's error_scale is {self.error_scale!r}, expected numbers above 0"
            )


@dataclass(frozen=True)
class AsyncVLAConfig:
    """Shape of the network and of its inputs.

    Attributes:
        backbone: Keyword arguments of ``Qwen2_5_VLConfig`` (``text_config``, ``vision_config``, token ids).
        num_cameras: Images per observation.
        image_size: Height and width the images are resized to [px].
        max_words: Text tokens an instruction may have; longer ones are refused.
        action_chunk_size: Actions per chunk.
        max_state_dim: State dims after padding.
        max_action_dim: Action dims after padding.
        num_action_layers: Linear layers of the output projection (1 is a plain linear map).
        num_denoise_steps: Euler steps of synchronous generation.
        num_refine_steps: Euler steps of asynchronous regeneration.
        execute_steps: Actions of a chunk that are executed before the next decision.
        coordinate_channels: Two image channels that hold each pixel's own x and y, for vision from scratch.
        image_token_embedding: A learned vector per camera and image token, for vision from scratch.
        attention: ``matmul`` (fastest for small networks on a CPU) or ``sdpa``.
        rater: None for a policy without a confidence rater.
        blank_images: Control experiment: trained blind, and shown black images whatever the cameras see.
    """

    backbone: Mapping[str, Any]
    num_cameras: int = 2
    image_size: int = 112
    max_words: int = 24
    action_chunk_size: int = 8
    max_state_dim: int = 16
    max_action_dim: int = 8
    num_action_layers: int = 1
    num_denoise_steps: int = 10
    num_refine_steps: int = 10
    execute_steps: int = 4
    coordinate_channels: bool = True
    image_token_embedding: bool = True
    attention: str = "matmul"
    rater: RaterConfig | None = field(default_factory=RaterConfig)
    blank_images: bool = False

    def __post_init__(self) -> None:
        for name in COUNTS:
            _require_count(name, getattr(self, name))
        if not isinstance(self.backbone, Mapping):
            raise CheckpointError(f"backbone is {self.backbone!r}, expected an object")
        if self.attention not in ATTENTIONS:
            raise CheckpointError(f"attention is {self.attention!r}, choose one of {ATTENTIONS}")
        if self.execute_steps > self.action_chunk_size:
            raise CheckpointError(
                f"execute_steps is {self.execute_steps}, expected at most "
                f"the {self.action_chunk_size} actions of a chunk"
            )

    @property
    def hidden_size(self) -> int:
        """Width of the language model's tokens."""
        return int(self.backbone["text_config"]["hidden_size"])

    @property
    def image_grid(self) -> int:
        """Vision patches along one side of an image."""
        return self.image_size // int(self.backbone["vision_config"]["patch_size"])

    @property
    def tokens_per_image(self) -> int:
        """Language-model tokens of one image."""
        return (self.image_grid // int(self.backbone["vision_config"]["spatial_merge_size"])) ** 2

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, for ``config.json``."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> AsyncVLAConfig:
        """The inverse of ``to_dict``.

        Raises:
            CheckpointError: If a key is unknown or missing.
        """
        _require_known(values, AsyncVLAConfig, "config.json")
        if "backbone" not in values:
            raise CheckpointError("config.json has no 'backbone' (the keyword arguments of Qwen2_5_VLConfig)")
        rater = values.get("rater")
        if rater:
            _require_known(rater, RaterConfig, "the rater in config.json")
        if rater and isinstance(rater.get("error_scale"), list):
            rater = {**rater, "error_scale": tuple(rater["error_scale"])}
        return AsyncVLAConfig(**{**values, "rater": RaterConfig(**rater) if rater else None})


def load_config(folder: Path) -> AsyncVLAConfig:
    """The shape of a checkpoint's network, without its weights.

    Raises:
        CheckpointError: If the folder is no checkpoint.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder} is not an AsyncVLA checkpoint: {file.name} not found")
    return AsyncVLAConfig.from_dict(read_json(file))


def _require_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise CheckpointError(f"{name} is {value!r}, expected a whole number of at least 1")


def _require_known(values: Any, kind: type, where: str) -> None:
    known = {f.name for f in fields(kind)}
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{where} is {values!r}, expected an object with the keys {sorted(known)}")
    if unknown := sorted(set(values) - known):
        raise CheckpointError(f"{where} has unknown keys {unknown}; known keys are {sorted(known)}")


def nano_config(vocab_size: int, **overrides: Any) -> AsyncVLAConfig:
    """A network of a few million parameters that runs in real time on two CPU cores.

    Args:
        vocab_size: Words of the tokenizer.
        overrides: Fields of ``AsyncVLAConfig`` that differ from the nano defaults.
    """
    backbone = {
        "text_config": {
            "vocab_size": vocab_size,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 5,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,
            "max_position_embeddings": 512,
            # With the usual theta of 1e6 the width section hardly turns on a grid of four by four tokens.
            "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [4, 6, 6]},
            "use_cache": False,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": 0,
        },
        "vision_config": {
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "in_channels": 5,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 1,
            "window_size": 112,
            "out_hidden_size": 192,
            "fullatt_block_indexes": [0, 1, 2, 3],
        },
        "image_token_id": 2,
        "video_token_id": 3,
        "vision_start_token_id": 4,
        "vision_end_token_id": 5,
    }
    return AsyncVLAConfig(backbone=backbone, **overrides)
