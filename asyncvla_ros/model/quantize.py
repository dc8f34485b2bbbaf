"""Backbone weights in eight bits, for GPUs whose memory is what a decision waits for (torchao).

Half the bytes of bfloat16 are read at each Euler step. Whether the actions stay the same is measured, not
assumed: ``Policy.from_checkpoint`` compares them before and after, and refuses what errs too much.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.strategy import WEIGHTS
from asyncvla_ros.types import AsyncVLAError

# Root mean square over actions, in standard deviations of the data.
LARGEST_ERROR = 0.05


def quantize(model: AsyncVLA, weights: str) -> None:
    """Store the language model's matrices as ``weights``, in place; products are still of bfloat16.

    Raises:
        AsyncVLAError: If torchao is missing, or the choice is none of ``WEIGHTS``.
    """
    if weights not in WEIGHTS:
        raise AsyncVLAError(f"weights is {weights!r}, choose one of {WEIGHTS}")
    if weights == "checkpoint":
        return
    try:
        from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise AsyncVLAError(f"weights is {weights!r}, which needs torchao: pip install torchao") from error
    config = Int8WeightOnlyConfig() if weights == "int8" else Float8WeightOnlyConfig()
    quantize_(model.backbone.qwen.language_model.layers, config, _is_matrix)


def _is_matrix(module: Any, name: str) -> bool:
    return isinstance(module, nn.Linear)
