"""The training objective: flow velocities and, where the data has them, simulator quantities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.training.batches import Batch


class PolicyLoss(nn.Module):
    """Flow-matching loss plus the auxiliary one; a module, so that data parallelism can wrap it.

    Args:
        model: The policy.
        targets: How many privileged quantities the state token must tell, and image tokens that depend on
            the instruction together with the state; may be 0.
        aux_weight: Of their loss.
    """

    def __init__(self, model: AsyncVLA, targets: int, aux_weight: float) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.aux = nn.Linear(config.hidden_size, targets) if targets else None
        self.aux_seen: nn.Linear | None = None
        if targets and config.vision == "spatial_softmax":
            self.aux_seen = nn.Linear(
                config.num_image_tokens * config.hidden_size + config.max_state_dim, targets
            )
        self._aux_weight = aux_weight

    def forward(self, batch: Batch, counted: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Compute what a piece of a batch adds to the loss of the whole batch.

        Args:
            batch: The piece.
            counted: Velocities that count in the whole batch, see ``count_velocities``.
            share: Of its observations in the whole batch.

        Returns:
            The loss, and the flow-matching part of it.
        """
        batch = batch.augmented()
        assert batch.draws is not None
        draws, dim_mask = batch.draws, batch.dim_mask[:, None, None]
        context = self._context(batch)
        flow_loss, state_token, seen = self.model.loss(
            batch.inputs,
            batch.actions,
            draws.noise,
            draws.tau,
            mask=draws.mask,
            dim_mask=dim_mask,
            counted=counted,
            context=context,
            known=batch.known,
        )
        if self.aux is None or batch.privileged is None:
            return flow_loss, flow_loss.detach()
        aux_loss = (self.aux(state_token.float()).float() - batch.privileged).square().mean()
        if self.aux_seen is not None:
            known = torch.cat([seen.flatten(1).float(), batch.inputs.state], dim=1)
            aux_loss = aux_loss + (self.aux_seen(known).float() - batch.privileged).square().mean()
        return flow_loss + share * self._aux_weight * aux_loss, flow_loss.detach()

    def _context(self, batch: Batch) -> Tensor:
        """Return what kept actions show, (b, k, l, max_action_dim).

        As on the robot, leading ones, on their way when the policy is asked, show what was executed, later
        ones what the policy itself planned from an earlier observation; others what was demonstrated.
        """
        assert batch.draws is not None
        context = batch.actions[:, None].expand_as(batch.draws.noise)
        place = torch.arange(context.shape[2], device=context.device)
        if batch.earlier is not None:
            rows, age = batch.earlier.rows, batch.earlier.age
            plan = self.model.draft(batch.earlier.inputs, batch.earlier.noise * batch.dim_mask[rows, None])
            later = (place + age[:, None]).clamp(max=len(place) - 1)
            shifted = plan.gather(1, later[..., None].expand_as(plan))
            context = context.index_copy(0, rows, shifted[:, None].expand_as(context[rows]).to(context.dtype))
        is_executed = place < batch.draws.executed[..., None]
        return torch.where(is_executed[..., None], batch.executed[:, None], context)


def count_velocities(batch: Batch) -> Tensor:
    """Count the velocities of a batch that are generated, known and not padding."""
    assert batch.draws is not None
    return (batch.draws.mask * batch.known[:, None]).sum((1, 2)) @ batch.dim_mask.sum(1)


def pieces(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into so many pieces of one size, one after the other.

    Raises:
        ValueError: If it cannot be cut so.
    """
    size, rest = divmod(len(batch.actions), count)
    if rest:
        raise ValueError(f"{len(batch.actions)} observations do not make {count} pieces of one size")
    return [batch.part(slice(start, start + size)) for start in range(0, len(batch.actions), size)]


def compile_layers(model: AsyncVLA, backend: Any = "inductor") -> None:
    """Compile the layers of the language model, in place.

    They share one graph, which trains as fast as the whole objective in one, after half the time.

    Args:
        model: The policy.
        backend: Backend of torch.compile.
    """
    for layer in model.backbone.qwen.language_model.layers:
        layer.compile(fullgraph=True, backend=backend)


def part_of(name: str) -> str:
    """Name the one of ``settings.PARTS`` that a parameter belongs to, by its name in the policy."""
    if ".qwen.visual.merger." in name:
        return "merger"
    if ".qwen.visual." in name or ".spatial_softmax." in name:
        return "vision"
    return "language" if ".qwen." in name else "heads"


def freeze(module: nn.Module, parts: tuple[str, ...]) -> None:
    """Give the parameters of some parts no gradient."""
    for name, parameter in module.named_parameters():
        if part_of(name) in parts:
            parameter.requires_grad = False


def trainable(module: nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters that move, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
