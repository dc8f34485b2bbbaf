"""The observation monitor, which measures how far an observation is from the training data.

It is a Gaussian over features of the encoded observation, with one variance for each of the leading principal
directions and a shared one for all others (probabilistic PCA, so that few frames suffice):

    f         = [state token, mean image token of each camera]       of ``Prefix.hidden``, (b, f)
    distance² = (sum_i (u_i . (f - m))² / v_i  +  |rest|² / v) / f
    surprise  = distance / the distance that one in twenty unseen frames exceeds

A rater is not reliable on observations that it has not learned, such as black images. Distances of features
find such observations (see FIPER, arXiv 2510.09459).
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
# Most leading directions, and least frames for each. Few suffice: foreign observations differ from usual ones
# along directions in which usual ones hardly vary.
DIRECTIONS, FRAMES_EACH = 256, 2
# Share of unseen frames with a surprise of 1 or more.
QUANTILE = 0.95


@dataclass(frozen=True)
class ObservationMonitor:
    """Distribution of usual observations, which gives the surprise of others.

    Attributes:
        mean: (f,) mean of the features.
        directions: (f, r) orthonormal directions.
        variances: (r,) variances of the features along them.
        rest: () variance along every other direction.
        scale: () distance with surprise 1.
    """

    mean: Tensor
    directions: Tensor
    variances: Tensor
    rest: Tensor
    scale: Tensor

    def surprise(self, features: Tensor) -> Tensor:
        """Compute the surprise of observations, (b, f) -> (b,)."""
        x = features.float() - self.mean
        along = x @ self.directions
        beyond = (x.square().sum(-1) - along.square().sum(-1)).clamp(min=0)
        squared = (along.square() / self.variances).sum(-1) + beyond / self.rest
        return (squared / len(self.mean)).sqrt() / self.scale

    def to(self, device: torch.device | str) -> ObservationMonitor:
        """Return a copy on another device."""
        return ObservationMonitor(*(getattr(self, field.name).to(device) for field in fields(self)))


def observation_features(prefix: Prefix, config: AsyncVLAConfig) -> Tensor:
    """Extract the monitor's features of an encoded observation, (b, (1 + cameras) * width) float32."""
    hidden = prefix.hidden
    # Each image without its start and end tokens.
    cameras = hidden[:, config.image_span].unflatten(1, (config.num_cameras, -1))[:, :, 1:-1].mean(2)
    return torch.cat([hidden[:, -1], cameras.flatten(1)], dim=1).float()


def fit_monitor(seen: Tensor, unseen: Tensor) -> ObservationMonitor:
    """Fit a monitor.

    Args:
        seen: (n, f) features of demonstrated frames.
        unseen: (m, f) features of frames of other episodes, which set the scale.

    Raises:
        AsyncVLAError: If there are too few frames, or all are the same.
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
    # Never zero: few frames span few directions, and any distance outside of them would be infinite.
    rest = (variances[kept:].sum() / others).clamp(min=1e-6 * float(variances[0]))
    usual = ObservationMonitor(
        mean.float(),
        directions[:kept].T.float().contiguous(),
        variances[:kept].clamp(min=float(rest)).float(),
        rest.float(),
        scale=torch.tensor(1.0),
    )
    scale = usual.surprise(unseen.cpu()).quantile(QUANTILE).clamp(min=1e-6)
    return ObservationMonitor(usual.mean, usual.directions, usual.variances, usual.rest, scale=scale)


def save_monitor(folder: Path, monitor: ObservationMonitor) -> None:
    """Write the monitor into a checkpoint folder."""
    partial = folder / f"{MONITOR}.partial"
    partial.touch()
    mode = partial.stat().st_mode
    save_file({f.name: getattr(monitor, f.name).cpu().contiguous() for f in fields(monitor)}, partial)
    # safetensors makes files that only the owner can read.
    partial.chmod(mode)
    partial.replace(folder / MONITOR)


def load_monitor(folder: Path, config: AsyncVLAConfig) -> ObservationMonitor | None:
    """Read the monitor of a checkpoint folder; None without one.

    Raises:
        CheckpointError: If it is corrupt or belongs to another network.
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
