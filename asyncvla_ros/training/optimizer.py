"""AdamW with a learning rate for each part of the network, and averaged weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from asyncvla_ros.training.objective import part_of, trainable
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.types import AsyncVLAError


def make_optimizer(objective: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Make an optimizer whose groups know their share of the learning rate.

    Raises:
        AsyncVLAError: If nothing is left to train, or torchao is missing for 8 bits.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    rates = {"vision": settings.vision_lr, "merger": settings.merger_lr}
    for name, parameter in trainable(objective).items():
        share = (rates.get(part_of(name)) or settings.lr) / settings.lr
        groups.setdefault((share, parameter.ndim >= 2), []).append(parameter)
    if not groups:
        raise AsyncVLAError(f"--freeze {' '.join(settings.freeze)} leaves nothing to train")
    listed = [
        {"params": parameters, "lr_share": share, "weight_decay": settings.weight_decay * is_matrix}
        for (share, is_matrix), parameters in groups.items()
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(listed, settings.lr)
    try:
        from torchao.optim import AdamW8bit
    except ImportError as error:
        raise AsyncVLAError("--optimizer adamw8bit needs torchao: pip install torchao") from error
    # Weights of bfloat16 would not move by small updates unless these are rounded at random.
    return AdamW8bit(listed, settings.lr, bf16_stochastic_round=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its share of a rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * group["lr_share"])
        else:
            group["lr"] = rate * group["lr_share"]


class Average:
    """An exponential moving average of the parameters that move.

    Args:
        parameters: Name to parameter.
        decay: Weight of the past, in [0, 1); less in the first steps, so that the weights of the beginning
            are forgotten in a short run too (as ``num_updates`` of TensorFlow's average).
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters = parameters
        self._decay = decay
        self.values = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after a step of the optimizer, whose number counts from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        now = [p.detach() for p in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), now, 1 - decay)
