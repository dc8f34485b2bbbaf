"""Parameters, averages and optimizer state of a run in safetensors files, whatever the optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asyncvla_ros.model.weights import read_weights, save_weights


def write_tensors(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    average: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write what a run goes on from.

    Args:
        folder: Made for it.
        parameters: Those that move, by name.
        average: Their averages, by the same names; may be empty.
        optimizer: Of these parameters.
    """
    folder.mkdir(parents=True)
    tensors = {f"parameter/{name}": p.detach() for name, p in parameters.items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    tensors |= {name: value for name, value in _optimizer_tensors(optimizer)}
    save_weights(folder, tensors)


@torch.no_grad()
def read_tensors(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    average: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Fill parameters, averages and optimizer with what ``write_tensors`` wrote.

    Raises:
        CheckpointError: If a file is corrupt, or something is missing in it.
    """
    _prime(optimizer)
    into = {f"parameter/{name}": p.data for name, p in parameters.items()}
    into |= {f"average/{name}": value for name, value in average.items()}
    into |= dict(_optimizer_tensors(optimizer))
    read_weights(folder, into)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> list[tuple[str, Tensor]]:
    """List every tensor of the state, by place of its parameter; those of eight bits in their parts."""
    found: list[tuple[str, Tensor]] = []
    ordered = [p for group in optimizer.param_groups for p in group["params"]]
    for place, parameter in enumerate(ordered):
        for key, value in optimizer.state.get(parameter, {}).items():
            found += _parts(f"optimizer/{place}/{key}", value)
    return found


def _parts(name: str, value: Any) -> list[tuple[str, Tensor]]:
    if not hasattr(value, "__tensor_flatten__"):
        return [(name, value)]
    return [(f"{name}/{part}", getattr(value, part)) for part in value.__tensor_flatten__()[0]]


def _prime(optimizer: torch.optim.Optimizer) -> None:
    """Have the optimizer make its state, by a step that moves nothing."""
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = torch.zeros_like(group["lr"]) if isinstance(group["lr"], Tensor) else 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
