"""ONNX graphs of a small network, beside its weights (``model.onnx_engine`` runs them)."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint_files import SINGLE
from asyncvla_ros.model.onnx_engine import DIGEST, ENCODE, RATE, STEP
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.weights import current_name, network_digest, safetensors_header

# Greatest number of drafts of an observation, and of tokens of its prefix.
DRAFTS, TOKENS = 64, 4096


class _Encode(nn.Module):
    def __init__(self, model: AsyncVLA) -> None:
        super().__init__()
        self.network = model

    def forward(self, images: Tensor, token_ids: Tensor, valid: Tensor, state: Tensor) -> list[Tensor]:
        return self.network.encode(Inputs(images, token_ids, valid, state)).tensors()


class _Step(nn.Module):
    def __init__(self, model: AsyncVLA) -> None:
        super().__init__()
        self.network = model

    def forward(self, x: Tensor, times: Tensor, *prefix: Tensor) -> Tensor:
        return self.network.velocity(Prefix.of_tensors(prefix), x, times)


class _Rate(nn.Module):
    def __init__(self, model: AsyncVLA) -> None:
        super().__init__()
        self.network = model

    def forward(self, draft: Tensor, signals: Tensor, *prefix: Tensor) -> Tensor:
        return self.network.rate(Prefix.of_tensors(prefix), draft, signals)


@torch.no_grad()
def export_onnx(model: AsyncVLA, folder: Path) -> None:
    """Write the graphs of a network beside its weights, which are in ``folder`` already.

    Args:
        model: On the CPU, in eval mode.
        folder: Checkpoint with a single file of weights.

    Raises:
        ImportError: If onnx or onnxscript is not installed.
    """
    config = model.config
    size = config.image_size
    words = torch.full((1, config.prompt_head_tokens + min(4, config.max_words)), 1)
    inputs = Inputs(
        torch.zeros(1, config.num_cameras, size, size, 3, dtype=torch.uint8),
        words,
        torch.ones_like(words, dtype=torch.bool),
        torch.zeros(1, config.max_state_dim),
    )
    # Two of everything variable, because the exporter takes a size of 1 for a constant.
    prefix = model.encode(inputs).repeat(2).tensors()
    draft = torch.randn(2, config.chunk_size, config.max_action_dim)
    per_action = torch.full(draft.shape[:2], 0.5)
    count = Dim("words", min=1, max=TOKENS)
    seen = [inputs.images, words, inputs.token_mask, inputs.state]
    _write(_Encode(model), seen, ({}, {1: count}, {1: count}, {}), folder / ENCODE, model=model)
    b, p = Dim("drafts", min=1, max=DRAFTS), Dim("tokens", min=2, max=TOKENS)
    layers = (len(prefix) - 4) // 2
    cache = ({0: b, 1: p}, {1: b, 2: p}, {0: b, 1: p}, {0: b}, *[{0: b, 2: p}] * (2 * layers))
    shapes = ({0: b}, {0: b}, cache)
    _write(_Step(model), [draft, per_action, *prefix], shapes, folder / STEP, model=model)
    if config.rater is not None:
        signals = per_action[..., None].repeat(1, 1, max(1, len(config.rater.reads)))
        _write(_Rate(model), [draft, signals, *prefix], shapes, folder / RATE, model=model)


def _write(module: nn.Module, given: list[Tensor], shapes: Any, file: Path, model: AsyncVLA) -> None:
    import onnx

    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # Messages of the exporter about itself.
        warnings.simplefilter("ignore")
        whole = Path(scratch) / file.name
        # Unoptimized, so that weights keep their names; ONNX Runtime optimizes when it loads.
        torch.onnx.export(
            module.eval(),
            tuple(given),
            whole,
            input_names=[f"x{place}" for place in range(len(given))],
            dynamic_shapes=shapes,
            dynamo=True,
            optimize=False,
            external_data=False,
            verbose=False,
        )
        graph = onnx.load(whole)
    _point_into_weights(graph, safetensors_header(file.parent / SINGLE))
    onnx.helper.set_model_props(graph, {DIGEST: network_digest(file.parent, model.config)})
    # The exporter noted paths of this machine.
    del graph.graph.metadata_props[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.save(graph, file)


def _point_into_weights(graph: Any, header: Mapping[str, Any]) -> None:
    """Refer the graph's weights to the file of weights, with conversions to float32."""
    from onnx import TensorProto, helper

    kinds = {"F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "F32": TensorProto.FLOAT}
    header = {current_name(name): entry for name, entry in header.items()}
    casts = []
    for tensor in graph.graph.initializer:
        entry = header.get(tensor.name.removeprefix("network."))
        if entry is None:
            continue
        start, end = entry["data_offsets"]
        if entry["dtype"] != "F32":
            casts.append(
                helper.make_node("Cast", [f"{tensor.name}.stored"], [tensor.name], to=TensorProto.FLOAT)
            )
            tensor.name += ".stored"
        tensor.data_type = kinds[entry["dtype"]]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        place = {"location": SINGLE, "offset": str(header["start"] + start), "length": str(end - start)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
