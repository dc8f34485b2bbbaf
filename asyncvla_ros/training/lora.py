"""LoRA on the language model (peft): its own weights rest, two thin matrices beside each of them learn."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from asyncvla_ros.model.asyncvla import AsyncVLA

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_ADAPTER = "default"


def add_lora(model: AsyncVLA, rank: int, alpha: int) -> None:
    """Put adapters beside the matrices of the language model, in float32, and freeze the rest of the trunk.

    Args:
        model: Changed in place; it decides as before until it is trained.
        rank: Of each adapter.
        alpha: Scale; 0: twice the rank.
    """
    config = LoraConfig(r=rank, lora_alpha=alpha or 2 * rank, target_modules=list(TARGETS))
    model.backbone.qwen.requires_grad_(requires_grad=False)
    inject_adapter_in_model(config, model.backbone.qwen.language_model, _ADAPTER)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()


@torch.no_grad()
def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights with adapters added in, by the names that they have without."""
    adapted: dict[str, Any] = {
        name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)
    }
    merged: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if ".lora_" in name:
            continue
        owner = name.rpartition(".base_layer.")[0]
        plain = name.replace(".base_layer.", ".")
        if owner in adapted and name.endswith(".weight"):
            layer = adapted[owner]
            merged[plain] = (value.float() + layer.get_delta_weight(_ADAPTER).float()).to(value.dtype)
        else:
            merged[plain] = value
    return merged
