"""AsyncVLA: a vision-language model that denoises action chunks, whole or only at low-confidence actions.

Four verbs: ``encode`` an observation, compute the training ``loss``, ``sample`` actions under any mask,
``rate`` a draft.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asyncvla_ros.model import flow
from asyncvla_ros.model.backbone import Backbone
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.rater import Rater


@dataclass(frozen=True)
class Inputs:
    """A batch of network inputs.

    Attributes:
        images: (b, cameras, h, w, 3) uint8.
        token_ids: (b, t) token ids, padded at the end.
        token_mask: (b, t) bool.
        state: (b, max_state_dim) normalized, padding 0.
    """

    images: Tensor
    token_ids: Tensor
    token_mask: Tensor
    state: Tensor


class AsyncVLA(nn.Module):
    """The policy network; shapes in ``AsyncVLAConfig``, mathematics in ``flow``.

    Args:
        config: Shape of the network.
        qwen: The backbone's model, see ``Backbone``.
    """

    def __init__(self, config: AsyncVLAConfig, qwen: Any = None) -> None:
        super().__init__()
        self.config = config
        width, d = config.hidden_size, config.max_action_dim
        self.backbone = Backbone(config, qwen)
        self.action_in = nn.Linear(d, width)
        self.time_mlp = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))
        hidden = [
            m for _ in range(config.num_action_layers - 1) for m in (nn.Linear(width, width), nn.SiLU())
        ]
        self.action_out = nn.Sequential(*hidden, nn.Linear(width, d))
        self.rater = Rater(config, config.rater) if config.rater else None

    def configure(self, config: AsyncVLAConfig) -> None:
        """Change inference settings, such as step counts and the rater's threshold, but not the shape."""
        self.config = self.backbone.config = config

    def attach_rater(self, rater: RaterConfig | None) -> None:
        """Give the policy a rater with new weights, or remove it."""
        self.configure(replace(self.config, rater=rater))
        self.rater = Rater(self.config, rater).to(self.device) if rater else None

    @property
    def _first(self) -> nn.Linear:
        first = self.time_mlp[0]
        assert isinstance(first, nn.Linear)
        return first

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.action_in.weight.device

    def encode(self, inputs: Inputs) -> Prefix:
        """Run the one pass over images, words and state that all later passes share."""
        return self.backbone.encode(inputs.images, inputs.token_ids, inputs.token_mask, inputs.state)

    def embed_actions(self, x: Tensor, token_times: Tensor) -> Tensor:
        """Compute action tokens MLP([W x; phi(tau)]); (b, n, d), (b, n) -> (b, n, width)."""
        return self.join(x, self.embed_times(token_times))

    def embed_times(self, token_times: Tensor) -> Tensor:
        """Compute the contribution of times to the first layer of the MLP, (...) -> (..., width)."""
        first, width = self._first, self.config.hidden_size
        return functional.linear(time_embedding(token_times, width), first.weight[:, width:], first.bias)

    def join(self, x: Tensor, embedded_times: Tensor) -> Tensor:
        """Compute action tokens from actions (b, n, d) and ``embed_times`` of their times (b, n, width)."""
        weight = self._first.weight[:, : self.config.hidden_size]
        actions = functional.linear(self.action_in(x), weight)
        return self.time_mlp[2](self.time_mlp[1](actions + embedded_times))

    def velocity(self, prefix: Prefix, x: Tensor, token_times: Tensor, draws: int = 1) -> Tensor:
        """Compute v(o, x, tau): (b, draws * l, d), (b, draws * l) -> (b, draws * l, d)."""
        suffix = self.backbone.make_suffix_pass(prefix, x.shape[1] // draws, draws)
        return self.read_actions(suffix(self.embed_actions(x, token_times)))

    def read_actions(self, hidden: Tensor) -> Tensor:
        """Compute velocities from hidden action tokens in float32, (b, n, width) -> (b, n, d)."""
        return self.action_out(hidden.float())

    def loss(
        self,
        inputs: Inputs,
        actions: Tensor,
        noise: Tensor,
        tau: Tensor,
        mask: Tensor,
        dim_mask: Tensor,
        counted: Tensor | None = None,
        context: Tensor | None = None,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the masked flow-matching loss of several draws, which share the pass of their observation.

        Args:
            inputs: b observations.
            actions: (b, l, d) normalized demonstrated actions.
            noise: (b, k, l, d), k draws.
            tau: (b, k) flow times.
            mask: (b, k, l), 1 where a token is generated.
            dim_mask: (d,) or (b, 1, 1, d), 1 where an action dim is real.
            counted: Divisor of the sum, for a part of a larger batch; None: the count of velocities here.
            context: (b, k, l, d) actions of tokens that are not generated; None: the demonstrated actions.
            known: (b, l), 1 where an action is in the loss; None: everywhere.

        Returns:
            The loss, the hidden state token (b, width), and all that is seen before it is attended to, (b,
            tokens of ``config.image_span``, width).
        """
        b, k, length, d = noise.shape
        noise = noise * dim_mask
        token_times = mask * tau[..., None]
        x = flow.interpolate(actions[:, None], noise, token_times)
        if context is not None:
            x = torch.where(mask[..., None] > 0, x, context * dim_mask)
        embedded = self.backbone.embed_prefix(
            inputs.images, inputs.token_ids, inputs.token_mask, inputs.state
        )
        suffix = self.embed_actions(x.flatten(1, 2), token_times.flatten(1, 2))
        prefix, hidden = self.backbone.forward_uncached(embedded, suffix, k)
        predicted = self.read_actions(hidden).view(b, k, length, d).float()
        target = flow.velocity_target(actions[:, None].expand_as(noise), noise)
        counts = mask if known is None else mask * known[:, None]
        loss = flow.masked_velocity_loss(predicted, target, counts, dim_mask, counted=counted)
        return loss, prefix[:, -1], embedded[0][:, self.config.image_span]

    @torch.no_grad()
    def draft(self, inputs: Inputs, noise: Tensor) -> Tensor:
        """Generate chunks (b, l, d) from noise (b, l, d) in one step and one pass, as in training."""
        embedded = self.backbone.embed_prefix(
            inputs.images, inputs.token_ids, inputs.token_mask, inputs.state
        )
        tokens = self.embed_actions(noise, torch.ones_like(noise[..., 0]))
        return noise - self.read_actions(self.backbone.forward_uncached(embedded, tokens, 1)[1])

    @torch.no_grad()
    def sample(
        self,
        prefix: Prefix,
        actions: Tensor,
        mask: Tensor,
        noise: Tensor,
        dim_mask: Tensor,
        steps: int,
        velocities: list[Tensor] | None = None,
        guidance: flow.Guidance | None = None,
        suffix: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Generate the masked actions, keep the others.

        A mask of all ones is synchronous flow matching; ones at low-confidence actions are asynchronous
        refinement; zeros at actions already sent to the robot are real-time chunking. Several drafts of an
        observation share its prefix: they are concatenated and do not attend to each other.

        Args:
            prefix: The encoded b observations.
            actions: (b * drafts, l, d) normalized, read where ``mask`` is 0.
            mask: (b * drafts, l), 1 where an action is generated.
            noise: (b * drafts, l, d) standard normal.
            dim_mask: (d,), 1 where an action dim is real.
            steps: Euler steps.
            velocities: List to which the velocity (b * drafts, l, d) of every step is appended.
            guidance: Pull of generated actions towards a target.
            suffix: Replacement of ``Backbone.behind``.
        """
        b, (rows, length, _) = len(prefix.valid), actions.shape
        suffix = suffix or self.backbone.make_suffix_pass(prefix, length, rows // b)
        # There are few times: one per step, and 0 for kept actions.
        times = self.embed_times(1 - torch.arange(steps + 1, device=self.device) / max(1, steps))
        generated = mask[..., None] > 0

        def velocity(x: Tensor, token_times: Tensor, step: int) -> Tensor:
            tokens = self.join(x, torch.where(generated, times[step], times[-1]))
            return self.read_actions(suffix(tokens.view(b, -1, tokens.shape[-1]))).view_as(x) * dim_mask

        return flow.euler_sample(
            velocity, actions, noise * dim_mask, mask, steps=steps, velocities=velocities, guidance=guidance
        )

    @torch.no_grad()
    def rate(self, prefix: Prefix, draft: Tensor, signals: Tensor | None = None) -> Tensor:
        """Compute the confidence (b, l) in (0, 1) of each action of a draft (b, l, d); see ``Rater.forward``.

        Raises:
            ValueError: If this policy has no rater, or its rater needs signals.
        """
        if self.rater is None:
            raise ValueError("this policy has no confidence rater; train one with `asyncvla train-rater`")
        return torch.sigmoid(self.rater(prefix, draft, signals))


def time_embedding(token_times: Tensor, width: int) -> Tensor:
    """Return sinusoids of tau in [0, 1] with periods from 4 down to 0.004; (...) -> (..., width)."""
    fraction = torch.linspace(0, 1, width // 2, device=token_times.device)
    angle = token_times[..., None].float() * (2 * math.pi / (4 * 0.001**fraction))
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
