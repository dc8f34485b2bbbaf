"""A policy with the weights of Qwen2.5-VL and new heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from tokenizers import Tokenizer
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from asyncvla_ros.common.json_file import read_json
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint_files import LISTED
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.sizes import CLIP_MEAN, CLIP_STD, pretrained_config
from asyncvla_ros.model.text import head_tokens
from asyncvla_ros.types import AsyncVLAError, CheckpointError

NEEDED = ("config.json", "tokenizer.json")
# Keys to keep from transformers' configuration, which has many more.
_TEXT = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_parameters",
    "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip
_VISION = (
    "depth", "hidden_size", "hidden_act", "intermediate_size", "num_heads", "in_channels", "patch_size",
    "spatial_merge_size", "temporal_patch_size", "tokens_per_second", "window_size", "out_hidden_size",
    "fullatt_block_indexes",
)  # fmt: skip
_IDS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


def find_pretrained(source: str) -> Path:
    """Find the folder of a model: a local one, or one of the Hugging Face hub, downloaded if necessary.

    Raises:
        AsyncVLAError: The name is neither, or the model cannot be downloaded.
    """
    if Path(source).is_dir():
        return Path(source)
    try:
        return Path(snapshot_download(source, allow_patterns=["*.json", "*.safetensors"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise AsyncVLAError(
            f"--from is {source!r}, which is no folder, and the hub does not give it ({error}); expected a "
            "folder with Qwen2.5-VL weights, or an id such as Qwen/Qwen2.5-VL-3B-Instruct"
        ) from error


def pretrained_network_config(folder: Path, tokenizer: Tokenizer, **overrides: Any) -> AsyncVLAConfig:
    """Make the network config for a folder of Qwen2.5-VL.

    Args:
        folder: Folder as transformers writes it, old or new.
        tokenizer: Tokenizer of the folder.
        overrides: Fields of ``AsyncVLAConfig``.

    Raises:
        CheckpointError: If the folder has another architecture, or its tokenizer does not know the prompt.
    """
    kind = read_json(folder / "config.json", CheckpointError).get("model_type")
    if kind != "qwen2_5_vl":
        raise CheckpointError(f"{folder} holds a model of type {kind!r}, expected 'qwen2_5_vl'")
    qwen = Qwen2_5_VLConfig.from_pretrained(folder)
    backbone = {
        "text_config": {**_plain(qwen.text_config, _TEXT), "use_cache": False},
        "vision_config": _plain(qwen.vision_config, _VISION),
        **_plain(qwen, _IDS),
    }
    processor = folder / "preprocessor_config.json"
    seen = read_json(processor, CheckpointError) if processor.is_file() else {}
    colors = {
        "image_mean": tuple(seen.get("image_mean", CLIP_MEAN)),
        "image_std": tuple(seen.get("image_std", CLIP_STD)),
    }
    config = pretrained_config(backbone, **{**colors, **overrides})
    known, embedded = tokenizer.get_vocab_size(), backbone["text_config"]["vocab_size"]
    if known > embedded:
        raise CheckpointError(f"{folder}/tokenizer.json has {known} tokens, config.json only {embedded}")
    return replace(config, prompt_head_tokens=head_tokens(tokenizer, config.prompt))


def pretrained_policy(folder: Path, config: AsyncVLAConfig, *, random: bool = False) -> AsyncVLA:
    """Build a network with the weights of a folder, or with random ones.

    Raises:
        CheckpointError: If weights are missing or left over.
    """
    if random:
        return AsyncVLA(config)
    # Load the whole model, because it knows all former names of its weights; its output layer is its input
    # embedding, so nothing is loaded twice.
    whole, said = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        folder,
        config=Qwen2_5_VLConfig(**config.backbone, tie_word_embeddings=True),
        dtype=getattr(torch, config.dtype),
        output_loading_info=True,
        local_files_only=True,
    )
    kinds = ("missing_keys", "mismatched_keys")
    problems = {kind: sorted(map(str, said[kind]))[:LISTED] for kind in kinds if said[kind]}
    if problems:
        raise CheckpointError(f"{folder} does not hold the weights of its config.json: {problems}")
    return AsyncVLA(config, whole.model)


def _plain(config: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(config, name, None)) is not None}
