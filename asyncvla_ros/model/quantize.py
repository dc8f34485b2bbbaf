"""Backbone weights in eight bits (torchao), for GPUs on which memory bandwidth limits inference.

An Euler step then reads half the bytes of bfloat16. The actions before and after are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.strategy import WEIGHTS
from asyncvla_ros.types import AsyncVLAError, CheckpointError

# Greatest root mean square change of actions, in standard deviations of the data.
LARGEST_ERROR = 0.05


def quantize(model: AsyncVLA, weights: str, probe: Callable[[], Tensor]) -> None:
    """Store the language model's matrices as ``weights``, in place; products stay in bfloat16.

    Args:
        model: The network.
        weights: One of ``WEIGHTS``.
        probe: Generates drafts on fixed observations, in normalized units.

    Raises:
        AsyncVLAError: If torchao is missing, or ``weights`` is not one of ``WEIGHTS``.
        CheckpointError: If the drafts change too much.
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
    before = probe()
    quantize_(model.backbone.qwen.language_model.layers, config, _is_matrix)
    change = float((probe() - before).square().mean().sqrt())
    if change > LARGEST_ERROR:
        raise CheckpointError(
            f"with {weights} weights the actions of this checkpoint change by {change:.3f} (root mean "
            f"square, in standard deviations), at most {LARGEST_ERROR} is allowed; use its own weights"
        )


def _is_matrix(module: Any, name: str) -> bool:
    return isinstance(module, nn.Linear)
