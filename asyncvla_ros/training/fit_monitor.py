"""Fit the monitor of observations on demonstrations, and the first limit of that of episodes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.data.rows import Column
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.monitor import ObservationMonitor, fit_monitor, observation_features
from asyncvla_ros.observe.episode_monitor import EpisodeLimits, fit_limits
from asyncvla_ros.training.batches import Batches, step_generator

# Frames at most that it learns from, and that set its scale.
SEEN, UNSEEN = 4096, 2048
_CHUNK = 64


def monitor_of(
    base: Checkpoint,
    batches: Batches,
    seen: np.ndarray,
    unseen: np.ndarray,
    episode: Column,
    seed: int,
) -> tuple[ObservationMonitor, EpisodeLimits]:
    """Fit what is usual to a policy, and how surprising whole demonstrations are.

    Args:
        base: The policy.
        batches: The data, without augmentation.
        seen: (n,) frames to learn from.
        unseen: (m,) frames of other episodes.
        episode: (frames of the whole data,) episode of each frame.
        seed: Determines which frames.

    Raises:
        AsyncVLAError: If there are too few frames.
    """
    chosen = torch.randperm(len(seen), generator=step_generator(seed, 2**31 + 1))[:SEEN]
    # Inferences as on the robot, of whole episodes.
    decided = unseen[:: base.model.config.n_action_steps][:UNSEEN]
    monitor = fit_monitor(*(_features(base, batches, frames) for frames in (seen[chosen.numpy()], decided)))
    surprise = monitor.surprise(_features(base, batches, decided)).tolist()
    owner = episode[decided]
    series = [
        [{"surprise": surprise[i]} for i in np.flatnonzero(owner == number)] for number in np.unique(owner)
    ]
    return monitor, fit_limits(series, ("surprise",), source="demonstrations")


@torch.no_grad()
def _features(base: Checkpoint, batches: Batches, frames: np.ndarray) -> Tensor:
    """Compute the features of some frames (n,), on the CPU, (n, f)."""
    parts = np.array_split(frames, max(1, len(frames) // _CHUNK))
    found = []
    for part in parts:
        inputs = batches.at(part, step_generator(0, 0)).to(base.model.device).inputs
        found.append(observation_features(base.model.encode(inputs), base.model.config).cpu())
    return torch.cat(found)
