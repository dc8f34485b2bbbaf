from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
from asyncvla_ros.model.engine import pad_words
from asyncvla_ros.model.monitor import MONITOR, ObservationMonitor, fit_monitor, observation_features
from asyncvla_ros.observe.episode_monitor import LIMITS, EpisodeLimits
from asyncvla_ros.policy import Policy
from asyncvla_ros.types import AsyncVLAError, CheckpointError, Observation
from support.checkpoints import tiny_checkpoint


def frames(count: int, seed: int) -> torch.Tensor:
    """Features that move along 3 of 40 directions, with a little noise in all."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(40, 3, generator=torch.Generator().manual_seed(9)))[0]
    moves = torch.randn(count, 3, generator=generator) * torch.tensor([5.0, 2.0, 1.0])
    return 7 + moves @ basis.T + 0.1 * torch.randn(count, 40, generator=generator)


def test_one_in_twenty_usual_frames_is_as_surprising_as_one():
    monitor = fit_monitor(frames(300, 0), frames(200, 1))
    surprise = monitor.surprise(frames(2000, 2))
    assert float((surprise > 1).float().mean()) == pytest.approx(0.05, abs=0.03)


def test_a_step_out_of_what_was_seen_is_surprising_and_one_of_the_same_length_within_is_not():
    monitor = fit_monitor(frames(300, 0), frames(200, 1))
    middle, along = monitor.mean, monitor.directions[:, 0]
    across = torch.linalg.qr(torch.cat([monitor.directions, torch.eye(40)[:, :1]], 1))[0][:, -1]
    within, beyond = monitor.surprise(torch.stack([middle + 4 * along, middle + 4 * across]))
    assert within < 1 and beyond > 3
    assert monitor.surprise(middle[None]) == 0


def test_few_frames_are_enough_and_none_are_not():
    few = fit_monitor(frames(3, 0), frames(2, 1))
    assert torch.isfinite(few.surprise(frames(5, 2))).all()
    with pytest.raises(AsyncVLAError, match="1 and 2 frames are there for the monitor, expected at least 2"):
        fit_monitor(frames(1, 0), frames(2, 1))
    with pytest.raises(AsyncVLAError, match="all frames for the monitor look the same"):
        fit_monitor(torch.ones(4, 40), frames(2, 1))


@torch.no_grad()
def test_features_are_of_the_state_and_of_each_camera_and_padding_changes_nothing(
    model: AsyncVLA, inputs: Inputs
):
    found = observation_features(model.encode(inputs), model.config)
    assert found.shape == (2, 3 * model.config.hidden_size)
    padded = observation_features(model.encode(pad_words(inputs, model.config)), model.config)
    torch.testing.assert_close(padded, found, atol=1e-4, rtol=1e-3)
    images = inputs.images.clone()
    images[:, 1] = 0
    blind = observation_features(model.encode(replace(inputs, images=images)), model.config)
    state, first, second = (blind - found).abs().amax(0).split(model.config.hidden_size)
    # Attention is causal: the first camera does not know of the second.
    assert state.max() > 0 and second.max() > 0.1 and first.max() < 1e-5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a checkpoint whose monitor was fitted on pictures that are nearly the same."""
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    policy = Policy(checkpoint)
    rows = []
    with torch.inference_mode():
        for seed in range(40):
            prefix = checkpoint.model.encode(policy._reader.inputs(scene(seed)))
            rows.append(observation_features(prefix, checkpoint.model.config))
    features = torch.cat(rows).clone()
    monitor = fit_monitor(features[:25], features[25:])
    limits = EpisodeLimits({"surprise": (0.5, 0.1)}, 3.0, episodes=20)
    save_checkpoint(tmp_path / "watched", replace(checkpoint, monitor=monitor, limits=limits))
    return tmp_path / "watched"


def scene(seed: int) -> Observation:
    rng = np.random.default_rng(seed)
    gradient = np.linspace(60, 180, 112, dtype=np.uint8)[:, None, None].repeat(112, 1).repeat(3, 2)
    picture = np.roll(gradient, int(rng.integers(8)), axis=0) + rng.integers(0, 9, (112, 112, 3), np.uint8)
    state = rng.normal(size=11).astype(np.float32) * 0.2
    return Observation({"agentview": picture, "wrist": picture[::-1]}, state, "lift it")


def test_a_policy_is_surprised_by_black_and_by_noise_more_than_by_what_it_knows(folder: Path):
    policy = Policy.from_checkpoint(folder)
    usual = max(infer(policy, scene(seed)) for seed in range(100, 120))
    known = scene(100)
    black = {key: np.zeros_like(image) for key, image in known.images.items()}
    noise = {
        key: np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
        for key, image in known.images.items()
    }
    for images in (black, noise, {**known.images, "wrist": black["wrist"]}):
        assert infer(policy, replace(known, images=images)) > 1.5 * usual
    assert policy.episode_limits == EpisodeLimits({"surprise": (0.5, 0.1)}, 3.0, episodes=20)
    assert "foreign observations; episodes by surprise" in (folder / "README.md").read_text()


def infer(policy: Policy, observation: Observation) -> float:
    surprise = policy.infer(observation, seed=0).surprise
    assert surprise is not None
    return surprise


def test_a_policy_without_a_monitor_says_nothing(tmp_path: Path):
    policy = Policy.from_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    assert policy.infer(scene(0), seed=0).surprise is None and policy.episode_limits is None


def test_new_weights_do_not_keep_the_monitor_of_the_old_ones(folder: Path):
    save_checkpoint(folder, replace(load_checkpoint(folder), monitor=None, limits=None))
    assert not (folder / MONITOR).exists() and not (folder / LIMITS).exists()


def test_a_monitor_that_does_not_fit_is_refused(folder: Path):
    tensors = load_file(folder / MONITOR)
    for name, value, problem in (
        ("mean", torch.zeros(5), r"mean has shape \(5,\), expected \(576,\) for this network"),
        ("scale", torch.tensor(float("nan")), "scale holds non-finite numbers"),
        ("rest", torch.tensor(0.0), "rest must be above 0"),
        ("more", torch.tensor(0.0), "expected .'directions', 'mean', 'rest', 'scale', 'variances'"),
    ):
        save_file({**tensors, name: value}, folder / MONITOR)
        with pytest.raises(CheckpointError, match=problem):
            load_checkpoint(folder)
    (folder / MONITOR).write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=f"{MONITOR} is corrupt or truncated"):
        load_checkpoint(folder)


@pytest.mark.gpu
def test_it_is_where_the_network_is(folder: Path):
    surprise = [infer(Policy.from_checkpoint(folder, device), scene(3)) for device in ("cpu", "cuda")]
    assert surprise[0] == pytest.approx(surprise[1], rel=0.05)


def test_it_can_be_moved():
    monitor = fit_monitor(frames(30, 0), frames(20, 1))
    assert isinstance(monitor.to("cpu"), ObservationMonitor)
