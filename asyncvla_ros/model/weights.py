"""Weights in safetensors files, one or several with an index, as Hugging Face writes them.

Neither reading nor writing holds a second copy of the network: tensors go through one by one. Large networks
are cut into shards with names of their own each time, so that the index, which is replaced in one step,
never names a mixture of old and new.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VLRotaryEmbedding,
    Qwen2_5_VLVisionRotaryEmbedding,
)

from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.model.checkpoint_files import INDEX, LISTED, SINGLE, weight_files
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.types import CheckpointError

SHARD_BYTES = 2 * 1000**3
# Former names of weights, and present ones.
_RENAMED = {"rater.variance_in.weight": "rater.signals_in.weight"}
_DIGESTED = {"chunk_size": "action_chunk_size"}  # as formerly, in the digests of existing graphs
# Greatest size of a header [bytes]; no network has so many names.
MOST_HEADER = 2**26


def save_weights(
    folder: Path,
    weights: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write weights; an interrupted write leaves the previous ones in place.

    Args:
        folder: Existing folder.
        weights: Name to tensor.
        dtype: Type in which they are stored; None: their own types.
        shard_bytes: Size above which they are split into several files.
    """
    plan = split_torch_state_dict_into_shards(dict(weights), max_shard_size=shard_bytes)
    before = [file for file in folder.glob("model*.safetensors") if file.is_file()]
    tag = uuid.uuid4().hex[:8]
    files = {}
    for number, (name, keys) in enumerate(sorted(plan.filename_to_tensors.items()), start=1):
        total = len(plan.filename_to_tensors)
        files[name] = SINGLE if total == 1 else f"model-{tag}-{number:05d}-of-{total:05d}.safetensors"
        _write(folder / files[name], {key: weights[key] for key in keys}, dtype)
    if len(files) == 1:
        (folder / INDEX).unlink(missing_ok=True)
    else:
        weight_map = {key: files[name] for key, name in plan.tensor_to_filename.items()}
        index = {"metadata": plan.metadata, "weight_map": weight_map}
        partial = folder / f"{INDEX}.partial"
        partial.write_text(json.dumps(index, indent=1) + "\n")
        partial.replace(folder / INDEX)
    for file in before:
        if file.name not in files.values():
            file.unlink(missing_ok=True)


def _write(file: Path, weights: Mapping[str, Tensor], dtype: torch.dtype | None) -> None:
    partial = file.with_name(f"{file.name}.partial")
    partial.touch()
    mode = partial.stat().st_mode
    save_file({k: v.detach().to(dtype or v.dtype).contiguous() for k, v in weights.items()}, partial)
    # safetensors makes files that only the owner can read.
    partial.chmod(mode)
    partial.replace(file)


def safetensors_header(file: Path) -> dict[str, Any]:
    """Read a safetensors header: entries by name of tensor, and as ``start`` where their bytes begin.

    Raises:
        CheckpointError: If the file is no safetensors file.
    """
    try:
        with file.open("rb") as content:
            size = int.from_bytes(content.read(8), "little")
            header: dict[str, Any] = json.loads(content.read(size) if size < MOST_HEADER else b"")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} is corrupt or truncated: {error}{lfs_remedy(file)}") from error
    return {**header, "start": 8 + size}


def network_digest(folder: Path, config: AsyncVLAConfig) -> str:
    """Compute 16 hex digits of the layout of a checkpoint's weights in their file, and of its network."""
    steps = ("num_denoise_steps", "num_refine_steps", "n_action_steps")
    # The names of the weights show which vision they are of.
    choices = (*steps, "max_words", "blank_images", "strategy", "vision")
    shape = {
        _DIGESTED.get(name, name): value for name, value in config.to_dict().items() if name not in choices
    }
    if config.rater:
        # The weights show the number of signals; a graph does not know which they are.
        shape["rater"] = {"num_layers": config.rater.num_layers, "variance": bool(config.rater.reads)}
    text = json.dumps([safetensors_header(folder / SINGLE), shape], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def current_name(name: str) -> str:
    """Return the present name of a weight in a file."""
    return _RENAMED.get(name, name)


def load_weights(model: nn.Module, folder: Path, device: str = "cpu") -> None:
    """Load weights into a network on the meta device, each in the type that the network has.

    Raises:
        CheckpointError: If files are corrupt, do not fit the network, or have values that are not finite.
    """
    if torch.device(device).type == "cpu":
        # safetensors does not know "cpu:0".
        device = "cpu"
    files = weight_files(folder)
    expected = model.state_dict()
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        with _opened(file) as content:
            shapes = {name: tuple(content.get_slice(name).get_shape()) for name in list(content.keys())}
        found |= {current_name(name): shape for name, shape in shapes.items()}
    _require_fit(files[0] if len(files) == 1 else folder / INDEX, expected, found)
    bad: list[str] = []
    for file in files:
        weights: dict[str, Tensor] = {}
        with _opened(file, device) as content:
            for name in list(content.keys()):
                tensor = content.get_tensor(name)
                low, high = torch.aminmax(tensor)
                if not (torch.isfinite(low) and torch.isfinite(high)):
                    bad.append(name)
                # An aligned copy, because products of mapped memory can differ in the last bits.
                current = current_name(name)
                weights[current] = tensor.to(expected[current].dtype, copy=device == "cpu")
        if bad:
            raise CheckpointError(f"{file} holds non-finite numbers in {bad[:LISTED]}")
        model.load_state_dict(weights, strict=False, assign=True)
    compute_rotary(model, device)


def read_weights(folder: Path, into: Mapping[str, Tensor]) -> None:
    """Fill tensors on any device with weights that ``save_weights`` wrote.

    Raises:
        CheckpointError: If a file is corrupt, or does not have exactly these tensors.
    """
    left = dict(into)
    for file in weight_files(folder):
        with _opened(file) as content:
            for name in list(content.keys()):
                if name not in left:
                    raise CheckpointError(f"{file} holds {name!r}, which is not expected here")
                left.pop(name).copy_(content.get_tensor(name))
    if left:
        raise CheckpointError(f"{folder} has no {sorted(left)[:LISTED]}")


def compute_rotary(model: nn.Module, device: str | torch.device = "cpu") -> None:
    """Compute the rotary frequencies, which no file has, in float32 whatever the type of the weights."""
    for module in model.modules():
        if isinstance(module, Qwen2_5_VLRotaryEmbedding | Qwen2_5_VLVisionRotaryEmbedding):
            with torch.device("cpu"):
                fresh = type(module)(module.config)
            for name, buffer in fresh.named_buffers():
                setattr(module, name, buffer.to(device))


def _require_fit(file: Path, expected: Mapping[str, Tensor], found: Mapping[str, tuple[int, ...]]) -> None:
    wrong = [
        f"{name}: found {found[name]}, expected {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != tuple(expected[name].shape)
    ]
    wrong += [f"{name}: missing" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"{name}: not part of this network" for name in sorted(found.keys() - expected.keys())]
    if wrong:
        more = f" (and {len(wrong) - LISTED} more)" if len(wrong) > LISTED else ""
        raise CheckpointError(f"{file} does not fit config.json: {'; '.join(wrong[:LISTED])}{more}")


@contextmanager
def _opened(file: Path, device: str = "cpu") -> Iterator[Any]:
    try:
        with safe_open(file, "pt", device=device) as content:
            yield content
    except (SafetensorError, OSError) as error:
        remedy = lfs_remedy(file)
        problem = "holds no weights" if remedy else f"is corrupt or truncated: {error}"
        raise CheckpointError(f"{file} {problem}{remedy}") from error
