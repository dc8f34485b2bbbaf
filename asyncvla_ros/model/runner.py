"""Choice of the engine and device that run a network."""

from __future__ import annotations

from pathlib import Path

import torch

from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.engine import CompiledEngine
from asyncvla_ros.model.onnx_engine import OnnxEngine, has_graphs
from asyncvla_ros.strategy import ENGINES
from asyncvla_ros.types import AsyncVLAError

#: Runs a network: encodes, samples and rates.
Runner = AsyncVLA | CompiledEngine | OnnxEngine


def require_device(device: str) -> None:
    """Check that torch can use a device.

    Raises:
        AsyncVLAError: If torch cannot use it.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch built without CUDA
        reason = str(error).splitlines()[0].split(". ")[0]
        raise AsyncVLAError(
            f"device is {device!r}, which torch cannot use ({reason}); choose another, such as 'cpu'"
        ) from error


def resolve_engine(
    engine: str, device: torch.device, weights: str = "checkpoint", folder: Path | None = None
) -> str:
    """Choose one of ``ENGINES`` for a device.

    Args:
        engine: One of ``ENGINES``, or ``auto``.
        device: Device.
        weights: See ``Policy.from_checkpoint``.
        folder: Folder of the checkpoint; None without one.

    Raises:
        AsyncVLAError: If there is no such engine, it needs a GPU, or graphs that are not there.
    """
    choices = ("auto", *ENGINES)
    if engine not in choices:
        raise AsyncVLAError(f"engine is {engine!r}, choose one of {choices}")
    if engine == "graph" and device.type != "cuda":
        raise AsyncVLAError(f"engine 'graph' records CUDA graphs, but the device is {str(device)!r}")
    runs_onnx = device.type == "cpu" and weights == "checkpoint" and folder is not None and has_graphs(folder)
    if engine == "onnx" and not runs_onnx:
        raise AsyncVLAError(
            "engine 'onnx' runs on a CPU, with the weights of a checkpoint that has graphs; `asyncvla "
            f"export` writes them. Found: device {str(device)!r}, weights {weights!r}, checkpoint {folder}"
        )
    if engine == "auto":
        return "graph" if device.type == "cuda" else "onnx" if runs_onnx else "plain"
    return engine


def make_runner(model: AsyncVLA, engine: str, folder: Path | None) -> Runner:
    """Make the runner of a network.

    Args:
        model: The network.
        engine: From ``resolve_engine``.
        folder: Folder of its checkpoint, which ``onnx`` needs.

    Raises:
        CheckpointError: If the graphs there belong to another network.
        ImportError: If ``onnx`` is chosen and onnxruntime is not installed.
    """
    if engine == "onnx":
        assert folder is not None
        return OnnxEngine(folder, model.config, torch.get_num_threads())
    return model if engine == "plain" else CompiledEngine(model, records=engine == "graph")
