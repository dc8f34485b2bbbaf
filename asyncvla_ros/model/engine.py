"""Engines that run the network at inference: plain, compiled, or as recorded CUDA graphs.

    plain      the network itself
    onnx       ONNX Runtime on a CPU, see ``onnx_engine``
    compiled   each pass as one graph without breaks (torch.compile)
    graph      besides, on a GPU: prefix, draft, rating and refinement recorded and replayed as CUDA graphs

A small batch on a GPU waits for kernel launches rather than for arithmetic; a recorded graph launches all of
them at once. A graph needs the same shapes and addresses each time, so instructions are padded to buckets,
inputs are copied to the recorded addresses, and outputs are copies.

The Euler loop is compiled step by step, because all steps are the same 36 layers, and recorded as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from asyncvla_ros.model import flow
from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.prefix import Prefix

# A prefix is padded to a multiple of the first number up to the second, to a multiple of the third beyond.
FINE, FINE_UP_TO, COARSE = 16, 128, 64


class CompiledEngine:
    """The methods of ``AsyncVLA`` that inference needs, compiled. Not thread-safe.

    Args:
        model: In eval mode; its weights must not move afterwards.
        records: Whether the compiled passes are recorded as CUDA graphs.
        backend: Backend of torch.compile.
    """

    def __init__(self, model: AsyncVLA, *, records: bool = False, backend: str = "inductor") -> None:
        self._model = model
        self._encode = torch.compile(_encode, fullgraph=True, backend=backend)
        self._suffix = torch.compile(model.backbone.suffix_pass, fullgraph=True, backend=backend)
        self._rate = torch.compile(_rate, fullgraph=True, backend=backend)
        self._recordings: dict[Any, _Recording] | None = {} if records else None

    @property
    def config(self) -> AsyncVLAConfig:
        """Shape of the network."""
        return self._model.config

    def encode(self, inputs: Inputs) -> Prefix:
        """See ``AsyncVLA.encode``; the prefix is as long as its bucket."""
        parts = [getattr(pad_words(inputs, self.config), field.name) for field in fields(Inputs)]
        return Prefix.of_tensors(self._run("encode", lambda *x: self._encode(self._model, *x), parts))

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
    ) -> Tensor:
        """See ``AsyncVLA.sample``; guidance is never full."""

        def draw(
            actions: Tensor, mask: Tensor, noise: Tensor, dim_mask: Tensor, *others: Tensor
        ) -> list[Tensor]:
            seen: list[Tensor] = []
            observed = Prefix.of_tensors(others[len(pulled) :])
            pull = replace(guidance, target=others[0], weights=others[1]) if guidance else None
            rows, length, _ = actions.shape
            context = self._model.backbone.suffix_context(observed, length, rows // len(observed.valid))
            out = self._model.sample(
                *(observed, actions, mask, noise, dim_mask, steps, seen, pull),
                suffix=lambda embedded: self._suffix(observed, context, embedded),
            )
            return [out, *seen]

        pulled = [guidance.target, guidance.weights] if guidance else []
        name = f"sample {steps} {guidance.limit if guidance else None}"
        given = [actions, mask, noise, dim_mask, *pulled, *prefix.tensors()]
        out, *seen = self._run(name, draw, given)
        if velocities is not None:
            velocities += seen
        return out

    def rate(self, prefix: Prefix, draft: Tensor, signals: Tensor | None = None) -> Tensor:
        """See ``AsyncVLA.rate``."""
        rater = self.config.rater
        if rater is None or (rater.reads and signals is None):
            return self._model.rate(prefix, draft, signals)
        unread = torch.zeros_like(draft[..., :1])
        given = [draft, unread if signals is None else signals, *prefix.tensors()]
        return self._run("rate", lambda *x: [self._rate(self._model, *x)], given)[0]

    def _run(self, name: str, work: Callable[..., list[Tensor]], given: list[Tensor]) -> list[Tensor]:
        # Compilers and CUDA graphs do not support inference mode.
        with torch.inference_mode(mode=False), torch.no_grad():
            if self._recordings is None:
                return work(*given)
            key = (name, *((tuple(x.shape), x.dtype) for x in given))
            if key not in self._recordings:
                self._recordings[key] = _Recording(work, given)
            return self._recordings[key](given)


class _Recording:
    """A CUDA graph of a function on tensors of given shapes."""

    WARMUPS = 3

    def __init__(self, work: Callable[..., list[Tensor]], given: list[Tensor]) -> None:
        self._given = [x.clone() for x in given]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(self.WARMUPS):
                work(*self._given)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._out = work(*self._given)

    def __call__(self, given: list[Tensor]) -> list[Tensor]:
        for ours, theirs in zip(self._given, given, strict=True):
            ours.copy_(theirs)
        self._graph.replay()
        return [x.clone() for x in self._out]


def pad_words(inputs: Inputs, config: AsyncVLAConfig) -> Inputs:
    """Pad instructions so that the prefix is as long as its bucket."""
    images = config.num_image_tokens
    more = bucket(images + inputs.token_ids.shape[1] + 1) - (images + inputs.token_ids.shape[1] + 1)
    token_ids, valid = (
        torch.nn.functional.pad(part, (0, more)) for part in (inputs.token_ids, inputs.token_mask)
    )
    return Inputs(inputs.images, token_ids, valid, inputs.state)


def bucket(tokens: int) -> int:
    """Return the length to which a prefix with this number of tokens is padded."""
    step = FINE if tokens <= FINE_UP_TO else COARSE
    return -(-tokens // step) * step


def buckets(config: AsyncVLAConfig, shortest: int, longest: int) -> list[int]:
    """Return one length of instruction, prompt included, per bucket that instructions can fall into.

    Args:
        config: Shape of the network.
        shortest: Words of the shortest instruction.
        longest: Words of the longest one.
    """
    images = config.num_image_tokens + 1
    return list({bucket(images + words): words for words in range(shortest, longest + 1)}.values())


def _encode(model: AsyncVLA, images: Tensor, token_ids: Tensor, valid: Tensor, state: Tensor) -> list[Tensor]:
    return model.encode(Inputs(images, token_ids, valid, state)).tensors()


def _rate(model: AsyncVLA, draft: Tensor, signals: Tensor, *prefix: Tensor) -> Tensor:
    return model.rate(Prefix.of_tensors(prefix), draft, signals)
