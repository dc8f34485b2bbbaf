"""The loop gain of networks whose answer to a kept action is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.data.frames import ConcatenatedImages
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer
from asyncvla_ros.training.loop_gain import loop_gain
from asyncvla_ros.types import CameraFeature, FeatureContract


class Echo(AsyncVLA):
    """Generates ``answer`` times the last kept action, whatever it sees."""

    answer: torch.Tensor

    def sample(self, prefix, actions, mask, noise, dim_mask, steps, *rest):  # type: ignore[no-untyped-def,override]
        kept = int((mask[0] == 0).sum())
        said = actions[:, kept - 1] @ self.answer.T
        return torch.where(mask[..., None] > 0, said[:, None], actions)


def still_episodes(actions: np.ndarray) -> Episodes:
    """One episode of these actions (n, 3), and nothing to see in it."""
    n = len(actions)
    return Episodes(
        images=ConcatenatedImages([np.zeros((n, 1, 28, 28, 3), np.uint8)]),
        state=np.zeros((n, 1), np.float32),
        actions=actions,
        privileged=None,
        episode=np.zeros(n, int),
        last=np.full(n, n - 1),
        instruction=np.zeros(n, int),
        instructions=("push",),
    )


def echo(episodes: Episodes) -> Checkpoint:
    """Make a policy that echoes what was kept."""
    features = FeatureContract(
        (CameraFeature("a", 28, 28),), ("x",), ("dx", "dy", "gripper"), "delta_ee_pose", 20
    )
    tokenizer = build_tokenizer(episodes.instructions)
    model = Echo(nano_config(tokenizer.get_vocab_size(), num_cameras=1, image_size=28, rater=None))
    model.answer = torch.zeros(8, 8)
    # dx answers itself by 0.6 and dy by 0.3; dy answers itself by 0.2; the gripper is left out.
    model.answer[0, 0], model.answer[0, 1], model.answer[1, 1], model.answer[2, 2] = 0.6, 0.3, 0.2, 9.0
    stats = NormStats.of(np.zeros((2, 1), np.float32)), NormStats.of(episodes.actions)
    return Checkpoint(model.eval(), tokenizer, features, *stats)


@pytest.mark.parametrize("executed", [False, True])
def test_it_is_the_slope_of_the_answer(*, executed: bool) -> None:
    actions = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    episodes = still_episodes(actions)
    if executed:
        episodes = replace(episodes, executed=actions + 5)
    metrics = loop_gain(echo(episodes), episodes, np.arange(6), 1, seed=0)
    for row in metrics["by_kept"].values():
        assert row["same"] == pytest.approx(0.4, abs=1e-4)
        assert row["largest"] == pytest.approx(np.linalg.norm([[0.6, 0.3], [0, 0.2]], 2), abs=1e-4)
    assert set(metrics["by_kept"]) == {"1", "2", "4"} and metrics["n"] == 6
    assert metrics["largest_same"] == pytest.approx(0.4, abs=1e-4)
