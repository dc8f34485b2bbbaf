"""Sizes of the network: the same classes with other numbers.

========  ==========================  =====================================================================
size      parameters                  for
========  ==========================  =====================================================================
``tiny``  0.3 M                       tests: the 3B model's shape (shared heads, windows, sections) in small
``nano``  3.6 M with rater            real time on two CPU cores, trained from scratch
``3b``    3.77 B, with rater 4.08 B   Qwen2.5-VL-3B-Instruct and the paper's heads
========  ==========================  =====================================================================
"""

from __future__ import annotations

from typing import Any

from asyncvla_ros.model.config import AsyncVLAConfig

# Image processing and chat template with which Qwen2.5-VL was trained.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
QWEN_PROMPT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{images}{instruction}<|im_end|>\n<|im_start|>assistant\n"
)


def nano_config(vocab_size: int, **overrides: Any) -> AsyncVLAConfig:
    """Return the config of a few million parameters that run in real time on two CPU cores.

    Args:
        vocab_size: Number of words of the tokenizer.
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
            # With the usual theta of 1e6 the width section hardly rotates on a grid of four by four tokens.
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
    return AsyncVLAConfig(backbone=backbone, **{"vision": "spatial_softmax", **overrides})


def full_config(**overrides: Any) -> AsyncVLAConfig:
    """Return Qwen2.5-VL-3B-Instruct with the heads of the paper: 3,771,607,072 parameters, rater not counted.

    Args:
        overrides: Fields of ``AsyncVLAConfig`` that differ from these.
    """
    backbone = {
        "text_config": {
            "vocab_size": 151936,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128000,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
            },
            "use_cache": False,
        },
        "vision_config": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "out_hidden_size": 2048,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        "image_token_id": 151655,
        "video_token_id": 151656,
        "vision_start_token_id": 151652,
        "vision_end_token_id": 151653,
    }
    return pretrained_config(backbone, **overrides)


def tiny_config(vocab_size: int, **overrides: Any) -> AsyncVLAConfig:
    """Return the 3B model's shape in small: shared heads, windows and full attention, sections."""
    backbone = {
        "text_config": {
            "vocab_size": vocab_size,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "max_position_embeddings": 1024,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
            "use_cache": False,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": 0,
        },
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "in_channels": 3,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 56,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        "image_token_id": 2,
        "video_token_id": 3,
        "vision_start_token_id": 4,
        "vision_end_token_id": 5,
    }
    small = {"image_size": 112, "max_state_dim": 16, "max_action_dim": 8, "prompt": "{images}{instruction}"}
    return pretrained_config(backbone, **{**small, "dtype": "float32", **overrides})


def pretrained_config(backbone: dict[str, Any], **overrides: Any) -> AsyncVLAConfig:
    """Return the config that all networks with Qwen2.5-VL's weights share."""
    common: dict[str, Any] = {
        "image_size": 224,
        "max_words": 128,
        "chunk_size": 4,
        "max_state_dim": 32,
        "max_action_dim": 32,
        "num_action_layers": 2,
        "coordinate_channels": False,
        "image_token_embedding": False,
        "attention": "sdpa",
        "dtype": "bfloat16",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "prompt": QWEN_PROMPT,
        "rater": None,
    }
    return AsyncVLAConfig(backbone=backbone, **{**common, **overrides})
