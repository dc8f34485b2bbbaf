"""Ask a policy at observations of demonstrations: one record per observation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from asyncvla_ros.common.noise_seed import noise_seed
from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.policy import Policy
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, Observation


@dataclass(frozen=True)
class DemoInference:
    """What a policy answered to one observation, beside what was demonstrated.

    Attributes:
        episode: Number of the demonstration.
        demonstrated: (l, d) what the expert did from there.
        draft: The answer of mode ``sfm``.
        answer: That of the strategy, from the same noise; the draft itself if that is its mode.
    """

    episode: int
    demonstrated: np.ndarray
    draft: ActionChunk
    answer: ActionChunk


def infer_demos(
    policy: Policy, episodes: Episodes, frames: np.ndarray, strategy: Strategy, seed: int
) -> Iterator[DemoInference]:
    """Ask for a draft, and for what the strategy makes of it.

    Args:
        policy: Infers as it does on the robot, one observation at a time.
        episodes: The demonstrations.
        frames: (n,) of the observations.
        strategy: Complete.
        seed: Determines the noise, with the frame.
    """
    for frame, demonstrated in zip(frames, episodes.chunks(frames, policy.chunk_size), strict=True):
        observation, noise = _observation(policy, episodes, frame), noise_seed(seed, int(frame))
        answer = draft = policy.infer(observation, replace(strategy, mode="sfm"), seed=noise)
        if strategy.mode != "sfm":
            answer = policy.infer(observation, strategy, seed=noise)
        yield DemoInference(int(episodes.episode[frame]), demonstrated, draft, answer)


def _observation(policy: Policy, episodes: Episodes, frame: int) -> Observation:
    images = episodes.images.take(np.array([frame]))[0]
    return Observation(
        images={camera.key: image for camera, image in zip(policy.features.cameras, images, strict=True)},
        state=episodes.state[frame],
        instruction=episodes.instructions[episodes.instruction[frame]],
    )
