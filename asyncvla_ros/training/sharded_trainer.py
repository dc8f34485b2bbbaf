"""A trainer whose weights are sharded over the processes (FSDP2)."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from asyncvla_ros.training.optimizer import make_optimizer
from asyncvla_ros.training.trainer import Trainer


class ShardedTrainer(Trainer):
    """Each process keeps a part of every weight, in float32, and gathers a layer when it is its turn.

    Layers compute in bfloat16. States are distributed checkpoints, which every process writes a part of.
    """

    def _prepare(self) -> torch.optim.Optimizer:
        model = self._objective.model
        self._types = {name: p.dtype for name, p in model.named_parameters()}
        self._objective.float()
        kind = torch.bfloat16 if self._settings.bf16 else None
        policy = MixedPrecisionPolicy(param_dtype=kind, reduce_dtype=torch.float32)
        qwen = model.backbone.qwen
        tower = qwen.visual.blocks if qwen.visual else ()
        for layer in (*tower, *qwen.language_model.layers):
            fully_shard(layer, mp_policy=policy)
        fully_shard(self._objective)
        return make_optimizer(self._objective, self._settings)

    def _precision(self) -> Any:
        return nullcontext()

    def _exchange(self, *, is_last: bool) -> Any:
        assert isinstance(self._objective, FSDPModule)
        self._objective.set_requires_gradient_sync(is_last)
        return nullcontext()

    def weights(self) -> dict[str, Tensor]:
        """Gather them on the main process, in the types of the checkpoint; return none on the others."""
        own = None
        if self.average:
            own = {name: p.detach().clone() for name, p in self.average.parameters.items()}
            self._swap_in(self.average.values)
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        gathered: dict[str, Any] = get_model_state_dict(self._objective, options=options)
        if own is not None:
            self._swap_in(own)
        return {
            name.removeprefix("model."): value.to(self._types[name.removeprefix("model.")])
            for name, value in gathered.items()
            if name.startswith("model.")
        }

    def save(self, folder: Path) -> None:
        """Write the state, each process its shards."""
        dcp.save(self._state(), checkpoint_id=folder)

    def load(self, folder: Path) -> None:
        """Restore the state, each process its shards."""
        state = self._state()
        dcp.load(state, checkpoint_id=folder)
        set_optimizer_state_dict(self._objective, self.optimizer, state["optimizer"])

    def _state(self) -> dict[str, Any]:
        """Return parameters and average themselves, which loading fills, and the optimizer's state."""
        return {
            "parameters": {name: p.data for name, p in self._parameters.items()},
            "average": self.average.values if self.average else {},
            "optimizer": get_optimizer_state_dict(self._objective, self.optimizer),
        }
