from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.data.frames import ConcatenatedImages
from asyncvla_ros.data.mixture import Mixture, Robot
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.training.batches import Batches, step_generator
from asyncvla_ros.training.drafts import Drafter
from asyncvla_ros.training.rated_drafts import RatedDrafts, rate_drafts
from asyncvla_ros.training.rater_metrics import rater_metrics
from asyncvla_ros.training.rater_settings import RaterSettings
from asyncvla_ros.training.train_rater import train_rater
from asyncvla_ros.training.within_observation import within_observation
from asyncvla_ros.types import AsyncVLAError, ContractError
from support.checkpoints import tiny_checkpoint


def _rated(confidence: np.ndarray, variance: np.ndarray, error: np.ndarray) -> RatedDrafts:
    return RatedDrafts(confidence, variance, error, np.arange(len(error)) // 5)


@pytest.fixture(scope="module")
def perfect() -> dict[str, Any]:
    """Metrics of a rater that knows the error, and of a variance that knows nothing."""
    rng = np.random.default_rng(0)
    error = rng.exponential(size=(200, 8)).astype(np.float32)
    rated = _rated(1 / (1 + error), rng.random(error.shape), error)
    return rater_metrics(rated, RaterConfig(error_scale=1.0), seed=0)


def test_a_rater_that_knows_the_error_ranks_perfectly(perfect: dict[str, Any]):
    assert perfect["auroc_worst_quarter"] == perfect["auroc_within_position"] == 1


def test_a_variance_that_knows_nothing_ranks_by_chance(perfect: dict[str, Any]):
    assert perfect["auroc_worst_quarter_variance"] == pytest.approx(0.5, abs=0.05)
    assert perfect["auroc_within_position_variance"] == pytest.approx(0.5, abs=0.05)
    low, high = perfect["auroc_gain_over_variance_ci95"]
    assert 0.4 < low < 0.5 < high < 0.6


def test_a_rater_that_knows_the_error_is_calibrated(perfect: dict[str, Any]):
    assert perfect["ece"] == pytest.approx(0, abs=1e-6) and perfect["correlation"] == pytest.approx(1)
    assert perfect["n"] == sum(b["count"] for b in perfect["reliability"]) == 1600


def test_a_threshold_of_the_variance_refines_as_often_as_the_rater(perfect: dict[str, Any]):
    # Confidence below a half is an error above 1: exp(-1) of them.
    assert perfect["doubtful_share"] == pytest.approx(np.exp(-1), abs=0.03)
    assert perfect["variance_threshold"] == pytest.approx(1 - perfect["doubtful_share"], abs=0.03)
    json.dumps(perfect)


def test_a_rater_that_knows_only_the_place_is_found_out():
    """Errors grow along the chunk: the place alone ranks well over all actions, and not at all within one."""
    rng = np.random.default_rng(0)
    error = rng.exponential(size=(400, 8)) * np.arange(1, 9)
    place = np.broadcast_to(1 / np.arange(2.0, 10), error.shape)
    metrics = rater_metrics(_rated(place, 1 - place, error), RaterConfig(), seed=0)
    assert metrics["auroc_worst_quarter"] == metrics["auroc_worst_quarter_position_only"] > 0.65
    assert metrics["auroc_within_position"] == 0.5
    assert metrics["auroc_gain_over_variance_ci95"] == [0, 0]


@pytest.fixture
def episodes() -> Episodes:
    """Six episodes of 4 random frames."""
    rng = np.random.default_rng(0)
    return Episodes(
        images=ConcatenatedImages([rng.integers(0, 256, (24, 2, 112, 112, 3), dtype=np.uint8)]),
        state=rng.normal(size=(24, 11)).astype(np.float32),
        actions=rng.normal(size=(24, 7)).astype(np.float32),
        privileged=None,
        episode=np.repeat(np.arange(6), 4),
        last=np.repeat(np.arange(3, 24, 4), 4),
        instruction=np.zeros(24, int),
        instructions=("pick up the milk",),
    )


@pytest.fixture
def drafting(episodes: Episodes, tmp_path: Path) -> tuple[Checkpoint, Batches]:
    """Make a tiny policy, and batches of the episodes for it."""
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    robot = Robot("panda", checkpoint.features, checkpoint.state_stats, checkpoint.action_stats)
    mixture = Mixture.of_one_robot(episodes, robot)
    return checkpoint, Batches(mixture, checkpoint.model.config, checkpoint.tokenizer)


def test_drafts_share_a_prefix_and_differ_in_noise(drafting: tuple[Checkpoint, Batches]):
    checkpoint, batches = drafting
    drafts = Drafter(checkpoint, nullcontext)(
        batches.at(np.array([3, 20]), step_generator(0, 0)), step_generator(0, 1), drafts=3
    )
    assert drafts.variance is not None and drafts.errors.shape == drafts.variance.shape == (6, 8)
    assert drafts.actions.shape == (6, 8, 8)
    assert torch.equal(drafts.prefix.hidden[0], drafts.prefix.hidden[2])
    assert not torch.equal(drafts.prefix.hidden[2], drafts.prefix.hidden[3])
    assert not torch.allclose(drafts.actions[0], drafts.actions[1])


def test_a_draft_is_what_the_policy_samples_of_the_same_noise(drafting: tuple[Checkpoint, Batches]):
    """The first drafts of two observations are rows 0 and 3."""
    checkpoint, batches = drafting
    batch = batches.at(np.array([3, 20]), step_generator(0, 0))
    drafts = Drafter(checkpoint, nullcontext)(batch, step_generator(0, 1), drafts=3)
    noise = torch.randn(6, 8, 8, generator=step_generator(0, 1))
    prefix, ones = checkpoint.model.encode(batch.inputs), torch.ones(2, 8)
    dims = torch.tensor([1.0] * 7 + [0])
    alone = checkpoint.model.sample(prefix, batch.actions, ones, noise[[0, 3]], dims, 2)
    torch.testing.assert_close(drafts.actions[[0, 3]], alone, atol=1e-5, rtol=1e-5)


def test_one_draft_of_each_frame_is_rated(drafting: tuple[Checkpoint, Batches], episodes: Episodes):
    checkpoint, batches = drafting
    drafter = Drafter(checkpoint, nullcontext)
    rated = rate_drafts(drafter, checkpoint.model, batches, np.arange(8, 24), episodes.episode, seed=0)
    assert rated.confidence is not None and rated.confidence.shape == rated.error.shape == (16, 8)
    assert rated.to_mean is None and within_observation(rated, executed=4) is None
    assert sorted(rated.episode) == sorted(np.repeat([2, 3, 4, 5], 4))


def test_several_drafts_of_each_frame_are_compared(drafting: tuple[Checkpoint, Batches], episodes: Episodes):
    checkpoint, batches = drafting
    drafter, frames = Drafter(checkpoint, nullcontext), np.arange(8, 24)
    several = rate_drafts(drafter, checkpoint.model, batches, frames, episodes.episode, seed=0, count=3)
    assert several.error.shape == (48, 8) and several.error_of_mean is not None
    # The error of a mean is at most the mean of the errors.
    assert (several.error_of_mean <= several.grouped(several.error).mean(1) + 1e-5).all()
    metrics = within_observation(several, executed=4)
    assert metrics is not None and (metrics["drafts"], metrics["observations"]) == (3, 16)
    assert set(metrics["concordance_within_observation"]) == {"rater", "variance", "mean", "medoid"}


def test_a_single_step_has_no_variance_and_metrics_do_without(
    drafting: tuple[Checkpoint, Batches], episodes: Episodes
):
    checkpoint, batches = drafting
    drafter = Drafter(checkpoint, nullcontext, steps=1)
    rated = rate_drafts(drafter, checkpoint.model, batches, np.arange(24), episodes.episode, 0, count=2)
    assert rated.variance is None and set(rated.doubts) == {"rater", "mean", "medoid"}
    metrics = rater_metrics(rated, RaterConfig(), seed=0)
    assert "auroc_within_position" in metrics and "variance_threshold" not in metrics


@pytest.fixture(scope="module")
def rated() -> tuple[np.ndarray, dict[str, Any]]:
    """(1200, 8) errors, and metrics of an oracle, of chance, and of what knows only observations."""
    rng = np.random.default_rng(0)
    hardness = rng.exponential(size=(300, 1, 1))
    error = (hardness * rng.exponential(size=(300, 4, 8))).reshape(-1, 8).astype(np.float32)
    rated = RatedDrafts(
        confidence=1 / (1 + error),
        variance=rng.random(error.shape),
        error=error,
        episode=np.repeat(np.arange(30), 40),
        count=4,
        to_mean=np.repeat(hardness, 4, axis=0)[:, 0] * np.ones(8),
        to_medoid=error.max() - error,
        error_of_mean=np.full((300, 8), 0.5),
    )
    metrics = within_observation(rated, executed=8)
    assert metrics is not None and (metrics["drafts"], metrics["observations"]) == (4, 300)
    return error, metrics


def test_signals_are_judged_by_the_order_of_drafts_of_an_observation_alone(
    rated: tuple[np.ndarray, dict[str, Any]],
):
    """An oracle is always right, chance half of the time, and what knows only observations is no better."""
    _, metrics = rated
    said = metrics["concordance_within_observation"]
    assert said["rater"]["same_place"] == {"value": 1.0, "ci95": [1.0, 1.0], "pairs": 300 * 6 * 8}
    assert said["medoid"]["same_place"]["value"] == 0 and said["medoid"]["chunk"]["value"] == 0
    assert said["mean"]["same_place"]["value"] == said["mean"]["chunk"]["value"] == 0.5
    low, high = said["variance"]["same_place"]["ci95"]
    assert low < 0.5 < high and said["variance"]["same_place"]["value"] == pytest.approx(0.5, abs=0.02)


def test_what_is_chosen_is_as_good_as_the_signal(rated: tuple[np.ndarray, dict[str, Any]]):
    error, metrics = rated
    errors = {name: chosen["error"] for name, chosen in metrics["selection"].items()}
    chunks = error.reshape(300, 4, 8).mean(-1)
    assert errors["best"] == pytest.approx(chunks.min(1).mean(), rel=1e-5)
    assert errors["medoid"] == pytest.approx(chunks.max(1).mean(), rel=1e-5)
    assert errors["the_mean"] == 0.5 and errors["best"] < errors["rater"] * 1.05 < errors["first"]
    assert metrics["selection"]["the_mean"]["over_the_mean_ci95"] == [0, 0]
    json.dumps(metrics)


def test_only_executed_actions_count_for_a_chunk():
    """The rater prefers the draft whose first two actions are good; its later ones are bad."""
    error = np.array([[0.1, 0.1, 9, 9], [0.5, 0.5, 0, 0]])
    rated = RatedDrafts(
        np.array([[0.9] * 4, [0.1] * 4]), None, error, np.zeros(2, int), 2, error, error, error[:1]
    )
    short, whole = (within_observation(rated, executed) for executed in (2, 4))
    assert short is not None and whole is not None
    right = [
        metrics["concordance_within_observation"]["rater"]["chunk"]["value"] for metrics in (short, whole)
    ]
    assert right == [1, 0]
    assert short["selection"]["rater"]["error"] == pytest.approx(0.1)


def test_a_policy_of_one_step_has_no_variance_for_its_rater(tmp_path: Path):
    base = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    base.model.configure(replace(base.model.config, num_denoise_steps=1))
    save_checkpoint(tmp_path / "single", base)
    settings = RaterSettings(
        data=(), checkpoint=tmp_path / "single", out=tmp_path / "out", reads=("variance",)
    )
    with pytest.raises(ContractError, match="draft_steps is 1, expected more"):
        train_rater(settings)


@pytest.mark.parametrize("change", [{"label": "pairwise"}, {"reads": ("mean",)}, {"reads": ("medoid",)}])
def test_what_compares_drafts_needs_several(change: dict[str, Any], tmp_path: Path):
    settings = RaterSettings(data=(), checkpoint=tmp_path, out=tmp_path / "out", **change)
    assert settings.drafts_of_each == 8
    assert replace(settings, drafts=3).drafts_of_each == 3
    with pytest.raises(AsyncVLAError, match="--drafts is 1, but drafts are to be compared"):
        _ = replace(settings, drafts=1).drafts_of_each
    assert RaterSettings(data=(), checkpoint=tmp_path, out=tmp_path).drafts_of_each == 1


def test_an_unknown_signal_lists_the_choices(tmp_path: Path):
    for reads in (("mood",), ("mean", "mean")):
        with pytest.raises(AsyncVLAError, match=r"--reads is .*, choose of .*'medoid'.*, each once"):
            RaterSettings((), tmp_path, tmp_path / "out", reads=reads)
