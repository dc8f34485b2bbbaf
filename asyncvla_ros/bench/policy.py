"""How long one inference takes, with the prefix cache and without, and what memory bandwidth allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from asyncvla_ros.bench.settings import SIZES, BenchSettings
from asyncvla_ros.model import flow
from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint import load_checkpoint
from asyncvla_ros.model.chunk_sampler import ChunkSampler
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.runner import Runner, make_runner, require_device, resolve_engine
from asyncvla_ros.model.sizes import full_config, nano_config, tiny_config
from asyncvla_ros.model.stage_clock import StageClock
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.training.memory import peak_memory_gb
from asyncvla_ros.types import STAGE_KEYS, AsyncVLAError

STAGES = tuple(STAGE_KEYS)
# Before the clock starts.
WARM_UP = 5
# Tokens of an instruction, with its prompt.
WORDS = 12
# Copied to find out how fast memory is.
COPIED_BYTES = 2**28


@torch.inference_mode()
def bench_policy(settings: BenchSettings) -> dict[str, Any]:
    """Time inferences on random input, of all kinds in turns, so that noise hits all of them.

    Cached is what a policy runs: one prefix pass, and whatever its engine does. Uncached are transformers'
    own layers, and every velocity evaluation encodes the observation again, as does the rater; so there is
    no prefix stage of its own. Every other action is refined. An inference is one in the checkpoint's
    own way, without an old plan; what is refined is the low-confidence part of a random observation's draft.

    Returns:
        ``cached_ms``, ``uncached_ms`` and ``inference_ms``: stage to {p50, p95}; ``inference_per_prefix``:
        what an inference took over its own prefix pass, the median; ``strategy``: the checkpoint's own;
        ``parameters``, ``dtype``, ``memory_peak_gb``, ``per_step_ms`` and ``roofline``.

    Raises:
        AsyncVLAError: If a setting is out of range.
    """
    if settings.repetitions < 1:
        raise AsyncVLAError(f"repetitions is {settings.repetitions}, expected at least 1")
    require_device(settings.device)
    torch.set_num_threads(settings.threads)
    folder = None if settings.size else settings.checkpoint or shipped_checkpoint()
    engine = resolve_engine(settings.engine, torch.device(settings.device), folder=folder)
    stock, has_rater = _network(settings)
    strategy = stock.config.resolve(Strategy())
    if not has_rater and strategy.select == "rater":
        strategy = replace(strategy, mode="sfm")
    inputs = random_inputs(stock, settings.device)
    runner = make_runner(stock, engine, folder)
    ways = {
        "cached_ms": lambda: _cached(runner, inputs),
        "inference_ms": lambda: _inference(runner, inputs, strategy),
        **({"uncached_ms": lambda: _uncached(stock, inputs)} if settings.recompute else {}),
    }
    times = _time_in_turns(ways, settings.repetitions)
    metrics = {name: _percentiles(rows) for name, rows in times.items()}
    decided = times["inference_ms"]
    step_ms = metrics["cached_ms"]["sfm"]["p50"] / stock.config.num_denoise_steps
    return {
        **metrics,
        "inference_per_prefix": round(float(np.median(decided[:, -1] / decided[:, 0])), 3),
        "strategy": asdict(strategy),
        "engine": engine,
        "parameters": sum(p.numel() for p in stock.parameters()),
        "dtype": stock.config.dtype,
        "memory_peak_gb": round(peak_memory_gb(), 2),
        "per_step_ms": round(step_ms, 3),
        "roofline": _roofline(stock, step_ms),
        "cache_error": _cache_error(runner, stock, inputs) if settings.recompute else None,
    }


def _time_in_turns(ways: Mapping[str, Callable[[], list[float]]], repetitions: int) -> dict[str, np.ndarray]:
    """Time each stage and the total [ms], (repetitions, stages) of each way, after a warm-up."""
    times: dict[str, list[list[float]]] = {name: [] for name in ways}
    warm_up = min(WARM_UP, repetitions)
    for repetition in track(range(repetitions + warm_up), description="Timing", transient=True):
        for name, infer in ways.items():
            row = infer()
            if repetition >= warm_up:
                times[name].append([*row, sum(row)])
    return {name: np.array(rows) for name, rows in times.items()}


def _percentiles(rows: np.ndarray) -> dict[str, dict[str, float]]:
    """Compute ``p50`` and ``p95`` of each stage [ms], of (n, stages)."""
    return {
        stage: {f"p{q}": round(float(np.percentile(column, q)), 3) for q in (50, 95)}
        for stage, column in zip(STAGES, rows.T, strict=True)
    }


def _network(settings: BenchSettings) -> tuple[AsyncVLA, bool]:
    """Return a checkpoint's network, or a random one with a rater, and whether it has one of its own."""
    if settings.size is None:
        checkpoint = load_checkpoint(settings.checkpoint or shipped_checkpoint(), settings.device)
        return checkpoint.model.eval(), checkpoint.model.rater is not None
    if settings.size not in SIZES:
        raise AsyncVLAError(f"--size is {settings.size!r}, choose one of {SIZES}")
    torch.manual_seed(0)
    if settings.size == "3b":
        config = full_config()
    else:
        config = (nano_config if settings.size == "nano" else tiny_config)(64, rater=None)
    with torch.device(settings.device):
        model = AsyncVLA(config)
        # How long it takes does not depend on what it has learned.
        model.attach_rater(RaterConfig(num_layers=_rater_layers(config)))
    return model.eval(), False


def _rater_layers(config: AsyncVLAConfig) -> int:
    """Return the layers of the rater: the paper's at full size, the shipped policy's below."""
    return 4 if config.dtype == "bfloat16" else RaterConfig.num_layers


def _roofline(model: AsyncVLA, step_ms: float) -> dict[str, float]:
    """Compare an Euler step [ms] with reading the language model's layers once: memory bounds any engine."""
    layers = model.backbone.qwen.language_model.layers
    read = sum(p.numel() * p.element_size() for p in layers.parameters())
    source = torch.empty(COPIED_BYTES, dtype=torch.uint8, device=model.device).fill_(1)
    target, seconds = torch.empty_like(source), []
    for _ in range(10):
        clock = _Clock(model.device)
        clock.time(lambda: target.copy_(source))
        seconds.append(clock.stages[0] / 1e3)
    bandwidth = 2 * COPIED_BYTES / min(seconds)
    ideal = 1e3 * read / bandwidth
    return {
        "bytes_per_step": read,
        "copy_bandwidth_gb_s": round(bandwidth / 1e9, 1),
        "ms": round(ideal, 4),
        "ratio": round(step_ms / ideal, 2),
    }


def random_inputs(model: AsyncVLA, device: str) -> Inputs:
    """Make an observation of noise, always the same one."""
    generator = torch.Generator().manual_seed(0)
    config = model.config
    shape = (1, config.num_cameras, config.image_size, config.image_size, 3)
    words = torch.full((1, config.prompt_head_tokens + WORDS), 6)
    return Inputs(
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device),
        words.to(device),
        torch.ones_like(words, dtype=torch.bool).to(device),
        torch.randn(1, config.max_state_dim, generator=generator).to(device),
    )


def _cached(model: Runner, inputs: Inputs) -> list[float]:
    """Time encoding, draft, rating and refinement [ms]."""
    noise, ones, half, dims = _noise_and_masks(model, inputs)
    steps, again = model.config.num_denoise_steps, model.config.num_refine_steps
    clock = _Clock(inputs.state.device)
    prefix = clock.time(lambda: model.encode(inputs))
    seen: list[Tensor] = []
    draft = clock.time(
        lambda: model.sample(prefix, noise, ones, noise, dim_mask=dims, steps=steps, velocities=seen)
    )
    clock.time(lambda: model.config.rater and model.rate(prefix, draft, _signals(model, seen, dims)))
    clock.time(lambda: model.sample(prefix, draft, half, noise, dim_mask=dims, steps=again))
    return clock.stages


def _inference(model: Runner, inputs: Inputs, strategy: Strategy) -> list[float]:
    """Time the stages of an inference, whose noise is always the same [ms]."""
    dims = torch.ones(model.config.max_action_dim, device=inputs.state.device)
    sampler = ChunkSampler(model, dims, torch.Generator().manual_seed(0))
    clock = StageClock(inputs.state.device)
    prefix = model.encode(inputs)
    clock.lap("prefix")
    sampler.sample(prefix, None, strategy, clock.lap)
    times = clock.times()
    return [times.prefix, times.draft, times.rate, times.refine]


def _uncached(model: AsyncVLA, inputs: Inputs) -> list[float]:
    """Time the same inference by transformers' own layers, without a prefix cache [ms]."""
    noise, ones, half, dims = _noise_and_masks(model, inputs)
    backbone = model.backbone
    clock = _Clock(inputs.state.device)
    clock.time(lambda: None)

    def velocity(x: Tensor, token_times: Tensor, step: int) -> Tensor:
        embedded = backbone.embed_prefix(inputs.images, inputs.token_ids, inputs.token_mask, inputs.state)
        return model.read_actions(backbone.forward_uncached(embedded, model.embed_actions(x, token_times))[1])

    steps, again = model.config.num_denoise_steps, model.config.num_refine_steps
    seen: list[Tensor] = []
    draft = clock.time(lambda: flow.euler_sample(velocity, noise, noise, ones, steps=steps, velocities=seen))
    clock.time(
        lambda: model.config.rater and model.rate(model.encode(inputs), draft, _signals(model, seen, dims))
    )
    clock.time(lambda: flow.euler_sample(velocity, draft, noise, half, steps=again))
    return clock.stages


def _signals(model: Runner, velocities: list[Tensor], dims: Tensor) -> Tensor | None:
    """Make as many signals as the rater reads; what they say does not change how long it takes."""
    rater = model.config.rater
    if rater is None or not rater.reads:
        return None
    return flow.denoising_variance(velocities, dims)[..., None].repeat(1, 1, len(rater.reads))


def _cache_error(runner: Runner, stock: AsyncVLA, inputs: Inputs) -> float:
    """Compare the first velocity with and without a cache: root mean square of the difference, relative."""
    noise, ones, _, dims = _noise_and_masks(stock, inputs)
    seen: list[Tensor] = []
    runner.sample(runner.encode(inputs), noise, ones, noise, dim_mask=dims, steps=1, velocities=seen)
    embedded = stock.backbone.embed_prefix(inputs.images, inputs.token_ids, inputs.token_mask, inputs.state)
    hidden = stock.backbone.forward_uncached(embedded, stock.embed_actions(noise, ones))[1]
    expected = stock.read_actions(hidden)
    error = (seen[0] - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    return round(float(error), 7)


def _noise_and_masks(model: Runner, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    length, d = model.config.chunk_size, model.config.max_action_dim
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
