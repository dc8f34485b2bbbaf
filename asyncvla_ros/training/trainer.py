"""One objective on one or many processes: gradients, steps, weights, and a state to resume from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn

from asyncvla_ros.training.batches import Batch
from asyncvla_ros.training.lora import merged_weights
from asyncvla_ros.training.objective import (
    PolicyLoss,
    compile_layers,
    count_velocities,
    pieces,
    trainable,
)
from asyncvla_ros.training.optimizer import Average, make_optimizer
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.training.state_files import read_tensors, write_tensors


class Trainer:
    """Compute gradients of whole batches, whatever the number of processes and pieces, and step.

    Args:
        objective: On this process's device.
        settings: Of the run.
        accelerator: Knows the processes.
    """

    def __init__(self, objective: PolicyLoss, settings: TrainSettings, accelerator: Accelerator) -> None:
        self._objective = objective
        self._settings = settings
        self._accelerator = accelerator
        self._parallel: Callable[..., Any] = objective
        self.optimizer = self._prepare()
        parameters = trainable(objective)
        policy = {name: p for name, p in parameters.items() if name.startswith("model.")}
        self.average = Average(policy, settings.ema) if settings.ema else None

    def _prepare(self) -> torch.optim.Optimizer:
        optimizer = make_optimizer(self._objective, self._settings)
        if self._settings.compile:
            compile_layers(self._objective.model)
        if self._accelerator.num_processes > 1:
            self._parallel = self._accelerator.prepare(self._objective)
        return optimizer

    @property
    def is_main(self) -> bool:
        """Whether this process writes for all."""
        return bool(self._accelerator.is_main_process)

    @property
    def _parameters(self) -> dict[str, nn.Parameter]:
        return trainable(self._objective)

    def gradient(self, batch: Batch) -> tuple[float, float]:
        """Run forward and backward over this process's part of a batch, piece by piece.

        Returns:
            The loss of the whole batch over all processes, and the flow-matching part of it.
        """
        accelerator, processes = self._accelerator, self._accelerator.num_processes
        counted = count_velocities(batch).to(accelerator.device)
        if processes > 1:
            dist.all_reduce(counted)
        parts = pieces(batch, self._settings.accumulate)
        sums = torch.zeros(2, device=accelerator.device)
        for number, part in enumerate(parts, start=1):
            with self._exchange(is_last=number == len(parts)), self._precision():
                share = 1 / len(parts)
                # Gradients are averaged over processes, and what each adds is its share of the whole.
                loss, flow_loss = self._parallel(part.to(accelerator.device), counted / processes, share)
                sums += torch.stack([loss.detach(), flow_loss.detach()]).float()
                loss.backward()
        if processes > 1:
            dist.all_reduce(sums)
        total, flow = (sums / processes).tolist()
        return total, flow

    def _precision(self) -> Any:
        return self._accelerator.autocast()

    def _exchange(self, *, is_last: bool) -> Any:
        """Send gradients to the other processes with the last piece only."""
        if self._accelerator.num_processes == 1 or is_last:
            return nullcontext()
        return self._accelerator.no_sync(self._parallel)

    def step(self, number: int) -> None:
        """Move the weights along the gradients, and forget these; ``number`` counts from 0."""
        if self._settings.clip:
            nn.utils.clip_grad_norm_(list(self._parameters.values()), self._settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update(number)

    def weights(self) -> dict[str, Tensor]:
        """Return the policy's weights by the names that a checkpoint has, averaged if there is an average."""
        model = self._objective.model
        if not self.average:
            return merged_weights(model)
        own = {name: p.detach().clone() for name, p in self.average.parameters.items()}
        try:
            self._swap_in(self.average.values)
            return {name: value.clone() for name, value in merged_weights(model).items()}
        finally:
            self._swap_in(own)

    @torch.no_grad()
    def _swap_in(self, values: dict[str, Tensor]) -> None:
        parameters = self._parameters
        for name, value in values.items():
            parameters[name].copy_(value)

    def save(self, folder: Path) -> None:
        """Write what a continuation needs; the main process does it alone."""
        if self._accelerator.is_main_process:
            average = self.average.values if self.average else {}
            write_tensors(folder, self._parameters, average, self.optimizer)

    def load(self, folder: Path) -> None:
        """Continue from what ``save`` wrote."""
        average = self.average.values if self.average else {}
        read_tensors(folder, self._parameters, average, self.optimizer)
