"""Flow matching over action chunks, synchronous and asynchronous, apart from any network.

The one convention of this project (arXiv 2511.14148, section 3): time tau = 0 is data, tau = 1 is noise.

    path      x_tau = (1 - tau) * a + tau * n          n ~ N(0, I)
    target    u     = n - a
    step      x    <- x - delta * m * V(x, m * tau)    delta = 1 / S, tau = 1, 1 - delta, ..., delta

The mask m (b, l) says which actions are generated: m = 1 starts from noise, m = 0 is kept, stands at
its own time 0 and serves as context. An all-ones mask is synchronous flow matching (SFM); every other mask
is asynchronous (AFM). Both are this one sampler:

    kept      a0 a1 .. .. a4 a5 .. ..     m = [0 0 1 1 0 0 1 1]
    x at tau  a0 a1 x2 x3 a4 a5 x6 x7     token times = m * tau
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

VelocityField = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class Guidance:
    """A pull towards a target while actions are denoised (arXiv 2506.07339, equations 2 to 4).

        estimate   a = x - tau * V              what x would become
        velocity   V <- V - g * J^T W (target - a)
        weight     g = min(limit, S, (tau^2 + (1 - tau)^2) / (tau * (1 - tau)))

    J is da/dx, or the identity. S, the number of steps, bounds what the paper leaves to the limit: one step
    corrects an error once, not several times over.

    Attributes:
        target: (b, l, d).
        weights: (b, l), the diagonal of W.
        dim_mask: (d,), 1 where an action dim is real.
        limit: Largest g.
        is_full: Whether J is taken through the network, which costs a backward pass a step.
    """

    target: Tensor
    weights: Tensor
    dim_mask: Tensor
    limit: float
    is_full: bool = False

    def steer(self, velocity: VelocityField, x: Tensor, token_times: Tensor, step: int, steps: int) -> Tensor:
        """Compute the guided velocity; arguments of ``VelocityField``, and the number of steps."""
        with torch.set_grad_enabled(self.is_full):
            x = x.detach().requires_grad_(self.is_full)
            v = velocity(x, token_times, step)
            clean = x - token_times[..., None] * v
            error = (self.target - clean.detach()) * self.weights[..., None] * self.dim_mask
            pull = torch.autograd.grad(clean, x, error)[0] if self.is_full else error
        tau = 1 - step / steps
        g = min(self.limit, steps, (tau**2 + (1 - tau) ** 2) / max(tau * (1 - tau), 1e-9))
        return v.detach() - g * pull * self.dim_mask


def interpolate(actions: Tensor, noise: Tensor, token_times: Tensor) -> Tensor:
    """Compute the point on the path from data to noise; (..., l, d), (..., l, d), (..., l) -> (..., l, d)."""
    tau = token_times[..., None]
    return (1 - tau) * actions + tau * noise


def velocity_target(actions: Tensor, noise: Tensor) -> Tensor:
    """Compute the network's target d x_tau / d tau = n - a."""
    return noise - actions


def sample_times(shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Sample training times tau ~ Beta(1.5, 1), by inverting its distribution function tau^1.5."""
    return torch.rand(shape, generator=generator) ** (1 / 1.5)


def sample_masks(
    batch: int, length: int, p_sync: float, p_prefix: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Sample training masks (batch, length) float with at least one 1 each, and kept prefix lengths (batch,).

    With probability ``p_sync`` all ones; with ``p_prefix`` a kept contiguous prefix of random length (what
    real-time execution keeps, and what independent masks hardly ever show); else rho ~ U(0, 1) and
    m_l ~ Bernoulli(rho).
    """
    kind = torch.rand(batch, 1, generator=generator)
    rho = torch.rand(batch, 1, generator=generator)
    independent = torch.rand(batch, length, generator=generator) < rho
    kept = torch.randint(0, length, (batch, 1), generator=generator)
    suffix = torch.arange(length)[None] >= kept
    masks = (kind < p_sync) | torch.where(kind < p_sync + p_prefix, suffix, independent)
    lone = torch.randint(0, length, (batch, 1), generator=generator)
    empty = ~masks.any(dim=1, keepdim=True)
    is_prefix = (kind >= p_sync) & (kind < p_sync + p_prefix)
    return (masks | (empty & (torch.arange(length)[None] == lone))).float(), (kept * is_prefix)[:, 0]


def keep_of_plan(
    masks: Tensor, prefixes: Tensor, age: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Adapt masks to a kept plan that is ``age`` steps old; masks of all ones and of prefixes stay the same.

    ::

        executed  executed  plan  .  .  plan  .  .  .       . generated; the plan ends ``age`` earlier

    Args:
        masks: (b, l) of ``sample_masks``.
        prefixes: (b,) lengths of kept prefixes.
        age: Age of the plan [actions].
        generator: Source of the number of actions executed meanwhile, up to half a chunk.

    Returns:
        Masks, each with at least one 1, and how many leading actions are executed ones.
    """
    length = masks.shape[1]
    place = torch.arange(length)
    changes = (prefixes == 0) & (masks == 0).any(dim=1)
    executed = torch.randint(0, length // 2 + 1, prefixes.shape, generator=generator)
    executed = torch.where(changes, executed, prefixes)
    is_kept = (masks == 0) & (place < length - max(age, 1))
    mixed = ~(is_kept | (place < executed[:, None]))
    return torch.where(changes[:, None], mixed.float(), masks), executed


def masked_velocity_loss(
    predicted: Tensor, target: Tensor, mask: Tensor, dim_mask: Tensor, counted: Tensor | None = None
) -> Tensor:
    """Compute the mean squared velocity error over generated tokens and real dims only.

    Args:
        predicted: (b, l, d).
        target: (b, l, d).
        mask: (b, l), 1 where a token is generated.
        dim_mask: (d,) or (b, l, d), 1 where an action dim is real rather than padding.
        counted: Divisor of the sum; None: the number of summed velocities.
    """
    weight = mask[..., None] * dim_mask.expand_as(predicted)
    total = weight.sum() if counted is None else counted
    return ((predicted - target).square() * weight).sum() / total.clamp(min=1)


def euler_sample(
    velocity: VelocityField,
    kept: Tensor,
    noise: Tensor,
    mask: Tensor,
    steps: int,
    velocities: list[Tensor] | None = None,
    guidance: Guidance | None = None,
) -> Tensor:
    """Integrate from noise to data where ``mask`` is 1; tokens with 0 come out bit-identical.

    Args:
        velocity: V(x (b, l, d), token_times (b, l), number of the step) -> (b, l, d).
        kept: (b, l, d), read where ``mask`` is 0.
        noise: (b, l, d), the start where ``mask`` is 1.
        mask: (b, l), 1 or 0.
        steps: Euler steps S, at least 1.
        velocities: List to which V (b, l, d) of every step is appended, for ``denoising_variance``.
        guidance: Pull of generated actions towards a target.

    Raises:
        ValueError: If ``steps`` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected at least 1")
    generate = mask[..., None] > 0
    x = torch.where(generate, noise, kept)
    for step in range(steps):
        tau = 1 - step / steps
        times = mask * tau
        v = guidance.steer(velocity, x, times, step, steps=steps) if guidance else velocity(x, times, step)
        if velocities is not None:
            velocities.append(v)
        # `where` rather than a product: kept tokens stay bit-identical, even beside a non-finite velocity.
        x = torch.where(generate, x - v / steps, x)
    return x


def denoising_variance(velocities: Sequence[Tensor], dim_mask: Tensor) -> Tensor:
    """Compute the variance of each token's estimates during denoising, a free signal of low confidence.

    At every step the clean action can be estimated as x_tau - tau * V. On a straight path all steps agree;
    this is the population variance of their estimates over the steps, mean over real dims (arXiv 2606.03847,
    which takes the last steps only; over all of them it predicts errors better here).

    Args:
        velocities: S tensors (b, l, d), from ``euler_sample``.
        dim_mask: (d,), 1 where an action dim is real.

    Returns:
        (b, l); meaningless on kept tokens.
    """
    v = torch.stack(tuple(velocities)).float()
    tau = torch.linspace(1, 1 / len(v), len(v), device=v.device)[:, None, None, None]
    # x_tau is the result plus the remaining steps; the result itself is in all estimates.
    remaining = v.flip(0).cumsum(0).flip(0) / len(v)
    variance = (remaining - tau * v).var(dim=0, correction=0)
    return (variance * dim_mask).sum(-1) / dim_mask.sum()
