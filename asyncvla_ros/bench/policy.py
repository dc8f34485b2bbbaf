"""How long one decision takes, with the prefix cache and without."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from asyncvla_ros.model import flow
from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint import load_checkpoint
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.policy import Policy
from asyncvla_ros.types import AsyncVLAError

STAGES = ("prefix", "sfm", "rater", "afm", "total")


@torch.inference_mode()
def bench_policy(checkpoint: Path | None, device: str, threads: int, repetitions: int) -> dict[str, Any]:
    """Time the stages of a decision on random input; cached and uncached alternate, so noise hits both.

    Cached is what a policy runs: one prefix pass, and on a CPU layers with fused weights. Uncached are
    transformers' own layers, and every velocity evaluation encodes the observation again, as does the rater;
    so there is no prefix stage of its own. AFM regenerates every other action.

    Args:
        checkpoint: None for the shipped one.
        device: torch device.
        threads: torch threads.
        repetitions: Measured decisions, at least 50.

    Returns:
        ``cached_ms`` and ``uncached_ms``: stage to {p50, p95}.

    Raises:
        AsyncVLAError: If the checkpoint has no rater, or ``repetitions`` is below 50.
    """
    if repetitions < 50:
        raise AsyncVLAError(f"repetitions is {repetitions}, expected at least 50")
    policy = Policy.from_checkpoint(checkpoint, device, threads)
    if not policy.has_rater:
        raise AsyncVLAError("this checkpoint has no rater; a decision cannot be timed in full")
    policy.warmup()
    stock = load_checkpoint(checkpoint or shipped_checkpoint(), device).model
    inputs = _random_inputs(stock, device)
    times: dict[str, list[list[float]]] = {"cached_ms": [], "uncached_ms": []}
    for repetition in track(range(repetitions + 5), description="Timing", transient=True):
        for name, decide, model in (
            ("cached_ms", _cached, policy.network),
            ("uncached_ms", _uncached, stock),
        ):
            row = decide(model, inputs)
            if repetition >= 5:
                times[name].append([*row, sum(row)])
    return {
        name: {
            stage: {f"p{q}": round(float(np.percentile(column, q)), 3) for q in (50, 95)}
            for stage, column in zip(STAGES, np.array(rows).T, strict=True)
        }
        for name, rows in times.items()
    }


def _random_inputs(model: AsyncVLA, device: str) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    config = model.config
    shape = (1, config.num_cameras, config.image_size, config.image_size, 3)
    words = torch.full((1, 12), 6)
    return Inputs(
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device),
        words.to(device),
        torch.ones_like(words, dtype=torch.bool).to(device),
        torch.randn(1, config.max_state_dim, generator=generator).to(device),
    )


def _cached(model: AsyncVLA, inputs: Inputs) -> list[float]:
    """Milliseconds of prefix, SFM, rater and AFM."""
    noise, ones, half, dims = _noise_and_masks(model, inputs)
    steps, again = model.config.num_denoise_steps, model.config.num_refine_steps
    clock = _Clock(inputs.state.device)
    prefix = clock.time(lambda: model.encode(inputs))
    seen: list[Tensor] = []
    draft = clock.time(lambda: model.sample(prefix, noise, ones, noise, dims, steps, seen))
    clock.time(lambda: model.rate(prefix, draft, flow.denoising_variance(seen, dims)))
    clock.time(lambda: model.sample(prefix, draft, half, noise, dims, again))
    return clock.stages


def _uncached(model: AsyncVLA, inputs: Inputs) -> list[float]:
    """The same decision by transformers' own layers, without keys and values kept between passes."""
    noise, ones, half, dims = _noise_and_masks(model, inputs)
    backbone = model.backbone
    clock = _Clock(inputs.state.device)
    clock.time(lambda: None)

    def velocity(x: Tensor, token_times: Tensor, step: int) -> Tensor:
        embedded = backbone.embed_prefix(inputs.images, inputs.words, inputs.word_valid, inputs.state)
        return model.read_actions(backbone.one_pass(embedded, model.embed_actions(x, token_times))[1])

    steps, again = model.config.num_denoise_steps, model.config.num_refine_steps
    seen: list[Tensor] = []
    draft = clock.time(lambda: flow.euler_sample(velocity, noise, noise, ones, steps, seen))
    clock.time(lambda: model.rate(model.encode(inputs), draft, flow.denoising_variance(seen, dims)))
    clock.time(lambda: flow.euler_sample(velocity, draft, noise, half, again))
    return clock.stages


def _noise_and_masks(model: AsyncVLA, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    length, d = model.config.action_chunk_size, model.config.max_action_dim
    device = inputs.state.device
    noise = torch.randn(1, length, d, generator=torch.Generator().manual_seed(1)).to(device)
    half = (torch.arange(length) % 2)[None].float().to(device)
    return noise, torch.ones(1, length, device=device), half, torch.ones(d, device=device)


class _Clock:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.stages: list[float] = []

    def time(self, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.stages.append(1e3 * (time.perf_counter() - began))
        return result
