"""Inference by ONNX Runtime, which on a CPU runs a small network 1.6 times as fast as torch.

``model.onnx_export`` writes three graphs beside the weights of a checkpoint: the prefix, one Euler step and
the rater. They contain no weights but refer to ``model.safetensors``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asyncvla_ros.model import flow
from asyncvla_ros.model.asyncvla import Inputs
from asyncvla_ros.model.checkpoint_files import SINGLE
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.weights import network_digest
from asyncvla_ros.types import CheckpointError

ENCODE, STEP, RATE = GRAPHS = ("encode.onnx", "step.onnx", "rate.onnx")
# Key of a graph's metadata: ``network_digest`` of its checkpoint.
DIGEST = "network"


def has_graphs(folder: Path) -> bool:
    """Return whether a checkpoint folder has the graphs that ``OnnxEngine`` needs."""
    return (folder / ENCODE).is_file() and (folder / STEP).is_file()


class OnnxEngine:
    """The methods of ``AsyncVLA`` that inference needs, by ONNX Runtime. Not thread-safe.

    Args:
        folder: Folder of the checkpoint.
        config: Config of its network.
        threads: Threads per pass.

    Raises:
        CheckpointError: If a graph is missing, unreadable, or made for another network.
        ImportError: If onnxruntime is not installed.
    """

    def __init__(self, folder: Path, config: AsyncVLAConfig, threads: int) -> None:
        self.config = config
        digest = network_digest(folder, config)
        self._encode = _Graph(folder / ENCODE, digest, threads)
        self._step = _Graph(folder / STEP, digest, threads)
        self._rate = _Graph(folder / RATE, digest, threads) if config.rater else None

    def encode(self, inputs: Inputs) -> Prefix:
        """See ``AsyncVLA.encode``; of one observation."""
        return Prefix.of_tensors(
            self._encode([inputs.images, inputs.token_ids, inputs.token_mask, inputs.state])
        )

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
        seen = prefix.repeat(len(actions) // len(prefix.valid)).tensors()

        def velocity(x: Tensor, token_times: Tensor, step: int) -> Tensor:
            return self._step([x, token_times, *seen])[0] * dim_mask

        return flow.euler_sample(
            velocity, actions, noise * dim_mask, mask, steps=steps, velocities=velocities, guidance=guidance
        )

    def rate(self, prefix: Prefix, draft: Tensor, signals: Tensor | None = None) -> Tensor:
        """See ``AsyncVLA.rate``.

        Raises:
            ValueError: If this policy has no rater, or its rater needs signals.
        """
        if self._rate is None or self.config.rater is None:
            raise ValueError("this policy has no confidence rater; train one with `asyncvla train-rater`")
        reads = self.config.rater.reads
        if signals is None and reads:
            raise ValueError(f"this rater reads {reads}, expected signals (b, l, k), got None")
        given = torch.zeros_like(draft[..., :1]) if signals is None else signals
        if self._rate.rank(1) == 2:
            # Graphs from before a rater could read several signals.
            given = given[..., 0]
        return self._rate([draft, given, *prefix.tensors()])[0]


class _Graph:
    def __init__(self, file: Path, digest: str, threads: int) -> None:
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import (
            Fail,
            InvalidArgument,
            InvalidGraph,
            InvalidProtobuf,
            NoSuchFile,
        )

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{file} cannot be read ({reason}); {_REMEDY}") from error
        made_for = self._session.get_modelmeta().custom_metadata_map.get(DIGEST)
        if made_for != digest:
            raise CheckpointError(f"{file} was made for another {SINGLE} or config.json; {_REMEDY}")
        # An export drops inputs that the graph does not read; the others keep their order.
        inputs = {int(given.name.removeprefix("x")): given for given in self._session.get_inputs()}
        self._places = list(inputs)
        self._ranks = {place: len(given.shape) for place, given in inputs.items()}

    def rank(self, place: int) -> int | None:
        """Return the number of dims of an input; None if the graph does not read it."""
        return self._ranks.get(place)

    def __call__(self, given: list[Tensor]) -> list[Tensor]:
        arrays: dict[str, Any] = {f"x{place}": given[place].numpy() for place in self._places}
        return [torch.from_numpy(out) for out in self._session.run(None, arrays)]


_REMEDY = "write it anew with `asyncvla export`, or use engine 'plain'"
