"""The observation monitor: how foreign is what the policy sees?

A Gaussian fitted to features of the encoded observation, with one variance for each of the leading principal
directions and one that all others share (probabilistic PCA, so that few frames suffice for many features):

    f         = [state token, mean image token of each camera]       of ``Prefix.hidden``, (b, f)
    distance² = (sum_i (u_i . (f - m))² / v_i  +  |rest|² / v) / f
    surprise  = distance / the distance that one in twenty unseen frames exceeds

A rater tells good drafts from bad ones where it has learned to; black images it has never seen, and rates as
it likes. Distances of features find such observations (see FIPER, arXiv 2510.09459).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.types import AsyncVLAError, CheckpointError

MONITOR = "monitor.safetensors"
# Leading directions with a variance of their own, at most: foreign observations differ from usual ones along
# directions in which those hardly vary. And frames for each of them, at least.
DIRECTIONS, FRAMES_EACH = 256, 2
# Frames that are as foreign as a surprise of 1, or more.
QUANTILE = 0.95


@dataclass(frozen=True)
class ObservationMonitor:
    """What is usual, and the measure of what is not.

    Attributes:
        mean: (f,) of the features.
        directions: (f, r) orthonormal.
        variances: (r,) of the features along them.
        rest: () variance along each other direction.
        scale: () distance of which the surprise is 1.
    """

    mean: Tensor
    directions: Tensor
    variances: Tensor
    rest: Tensor
    scale: Tensor

    def surprise(self, features: Tensor) -> Tensor:
        """Return how foreign observations are, (b, f) -> (b,)."""
        x = features.float() - self.mean
        along = x @ self.directions
        beyond = (x.square().sum(-1) - along.square().sum(-1)).clamp(min=0)
        squared = (along.square() / self.variances).sum(-1) + beyond / self.rest
        return (squared / len(self.mean)).sqrt() / self.scale

    def to(self, device: torch.device | str) -> ObservationMonitor:
        """Return the same on another device."""
        return ObservationMonitor(*(getattr(self, field.name).to(device) for field in fields(self)))


def observation_features(prefix: Prefix, config: AsyncVLAConfig) -> Tensor:
    """Return what the monitor reads of an encoded observation, (b, (1 + cameras) * width) float32."""
    hidden, start = prefix.hidden, config.prompt_head_tokens
    images = hidden[:, start : start + config.num_cameras * (2 + config.tokens_per_image)]
    # Of each image without the tokens around it.
    cameras = images.unflatten(1, (config.num_cameras, -1))[:, :, 1:-1].mean(2)
    return torch.cat([hidden[:, -1], cameras.flatten(1)], dim=1).float()


def fit_monitor(seen: Tensor, unseen: Tensor) -> ObservationMonitor:
    """Fit what is usual.

    Args:
        seen: (n, f) features of demonstrated frames.
        unseen: (m, f) of frames of other episodes, which set the scale.

    Raises:
        AsyncVLAError: If there are too few, or they are all the same.
    """
    if len(seen) < 2 or not len(unseen):
        raise AsyncVLAError(
            f"{len(seen)} and {len(unseen)} frames are there for the monitor, expected at least 2 and 1"
        )
    x = seen.double().cpu()
    mean = x.mean(0)
    _, singular, directions = torch.linalg.svd(x - mean, full_matrices=False)
    variances = singular.square() / (len(x) - 1)
    if not variances[0] > 0:
        raise AsyncVLAError("all frames for the monitor look the same, expected demonstrations that move")
    kept = max(1, min(DIRECTIONS, len(x) // FRAMES_EACH, x.shape[1] // 2))
    others = max(1, x.shape[1] - kept)
    # Never zero: few frames span few directions, and any step out of them would be infinitely far.
    rest = (variances[kept:].sum() / others).clamp(min=1e-6 * float(variances[0]))
    usual = ObservationMonitor(
        mean.float(),
        directions[:kept].T.float().contiguous(),
        variances[:kept].clamp(min=float(rest)).float(),
        rest.float(),
        torch.tensor(1.0),
    )
    scale = usual.surprise(unseen.cpu()).quantile(QUANTILE).clamp(min=1e-6)
    return ObservationMonitor(usual.mean, usual.directions, usual.variances, usual.rest, scale)


def save_monitor(folder: Path, monitor: ObservationMonitor) -> None:
    """Write it into a checkpoint folder."""
    partial = folder / f"{MONITOR}.partial"
    partial.touch()
    mode = partial.stat().st_mode
    save_file({f.name: getattr(monitor, f.name).cpu().contiguous() for f in fields(monitor)}, partial)
    # safetensors lets nobody but the owner read its files.
    partial.chmod(mode)
    partial.replace(folder / MONITOR)


def load_monitor(folder: Path, config: AsyncVLAConfig) -> ObservationMonitor | None:
    """That of a checkpoint folder; None if it has none.

    Raises:
        CheckpointError: If it is corrupt, or not of such a network.
    """
    file = folder / MONITOR
    if not file.is_file():
        return None
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is corrupt or truncated: {error}") from error
    names = [field.name for field in fields(ObservationMonitor)]
    if sorted(tensors) != sorted(names):
        raise CheckpointError(f"{file} holds {sorted(tensors)}, expected {sorted(names)}")
    monitor = ObservationMonitor(**{name: tensor.float() for name, tensor in tensors.items()})
    count, kept = (1 + config.num_cameras) * config.hidden_size, monitor.variances.numel()
    expected = {"mean": (count,), "directions": (count, kept), "variances": (kept,), "rest": (), "scale": ()}
    for name, shape in expected.items():
        tensor = getattr(monitor, name)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{file}: {name} has shape {tuple(tensor.shape)}, expected {shape} for this network"
            )
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file}: {name} holds non-finite numbers")
    for name in ("variances", "rest", "scale"):
        if not (getattr(monitor, name) > 0).all():
            raise CheckpointError(f"{file}: {name} must be above 0")
    return monitor
