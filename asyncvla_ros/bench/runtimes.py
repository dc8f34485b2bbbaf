"""Prefix and draft of nano on a CPU, by several runtimes in one run: which is worth having?

    plain      transformers' own layers
    onnx       ONNX Runtime, what `Policy` runs (model/onnx_engine.py)
    compiled   torch.compile (model/engine.py)

All get the same weights and inputs, in turns, so that noise hits all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from asyncvla_ros.bench.policy import random_inputs
from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint import load_checkpoint
from asyncvla_ros.model.engine import CompiledEngine
from asyncvla_ros.model.onnx_engine import OnnxEngine
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.runner import Runner
from asyncvla_ros.paths import shipped_checkpoint

#: A pass: tensors in, tensors out.
Pass = Callable[[list[Tensor]], list[Any]]
#: A prefix and noise (1, l, d) in, a draft (1, l, d) out.
Draft = Callable[[list[Any], Tensor], Tensor]
WARM_UP = 10


def bench_runtimes(repetitions: int, threads: int = 1) -> dict[str, Any]:
    """Time prefix and draft of the shipped policy by every runtime that is installed.

    Args:
        repetitions: Of each by each runtime.
        threads: Of each runtime.

    Returns:
        ``ms``: runtime to {prefix, draft, both: {p50, p95}}, with ``error``, the largest difference of an
        action of the draft from the plain network; ``missing``: runtimes that are not installed, and why.
    """
    torch.set_num_threads(threads)
    model = load_checkpoint(shipped_checkpoint()).model
    inputs = random_inputs(model, "cpu")
    seen = [inputs.images, inputs.token_ids, inputs.token_mask, inputs.state]
    noise = torch.randn(1, model.config.chunk_size, model.config.max_action_dim)
    runtimes: dict[str, tuple[Pass, Draft]] = {}
    missing: dict[str, str] = {}
    rows: dict[str, list[tuple[float, float, float]]] = {}
    errors: dict[str, float] = {}
    with torch.inference_mode():
        for name, make in _RUNTIMES.items():
            try:
                runtimes[name] = make(model, threads)
            except ImportError as error:
                missing[name] = str(error)
        expected = runtimes["plain"][1](runtimes["plain"][0](seen), noise)
        for repetition in track(range(repetitions + WARM_UP), description="Timing", transient=True):
            for name, (encode, draft) in runtimes.items():
                began = time.perf_counter()
                prefix = encode(seen)
                between = time.perf_counter()
                actions = draft(prefix, noise)
                ended = time.perf_counter()
                if repetition >= WARM_UP:
                    row = 1e3 * (between - began), 1e3 * (ended - between), 1e3 * (ended - began)
                    rows.setdefault(name, []).append(row)
                errors[name] = float((actions - expected).abs().max())
    return {
        "ms": {
            name: {
                part: {f"p{q}": round(float(np.percentile(column, q)), 3) for q in (50, 95)}
                for part, column in zip(("prefix", "draft", "both"), np.array(values).T, strict=True)
            }
            | {"error": errors[name]}
            for name, values in rows.items()
        },
        "steps": model.config.num_denoise_steps,
        "missing": missing,
    }


def _network(model: Runner) -> tuple[Pass, Draft]:
    """Return prefix and draft as a policy asks for them."""
    config = model.config
    ones, dims = torch.ones(1, config.chunk_size), torch.ones(config.max_action_dim)

    def draft(prefix: list[Any], noise: Tensor) -> Tensor:
        seen = Prefix.of_tensors(prefix)
        return model.sample(seen, noise, ones, noise, dim_mask=dims, steps=config.num_denoise_steps)

    return (lambda x: model.encode(Inputs(*x)).tensors()), draft


def _plain(model: AsyncVLA, threads: int) -> tuple[Pass, Draft]:
    return _network(model)


def _onnx(model: AsyncVLA, threads: int) -> tuple[Pass, Draft]:
    return _network(OnnxEngine(shipped_checkpoint(), model.config, threads))


def _compiled(model: AsyncVLA, threads: int) -> tuple[Pass, Draft]:
    return _network(CompiledEngine(model))


_RUNTIMES: dict[str, Callable[[AsyncVLA, int], tuple[Pass, Draft]]] = {
    "plain": _plain,
    "onnx": _onnx,
    "compiled": _compiled,
}
