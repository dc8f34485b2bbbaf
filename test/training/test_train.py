"""Training itself, on a few frames of noise and for a few steps."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.data.frames import ConcatenatedImages
from asyncvla_ros.data.mixture import Mixture, Robot
from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
from asyncvla_ros.training.objective import PolicyLoss
from asyncvla_ros.training.progress import Log
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.training.train import train
from asyncvla_ros.types import AsyncVLAError
from support.contracts import libero_features

SETTINGS = TrainSettings(
    data=(), out=Path(), steps=4, batch=2, draws=2, warmup=1, ema=0.5, holdout=0.5, save_every=2, log_every=1,
    bf16=False, processes=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def demonstrations(monkeypatch: pytest.MonkeyPatch) -> Mixture:
    """Two episodes of five frames."""
    torch.set_num_threads(1)
    rng, n = np.random.default_rng(0), 10
    episodes = Episodes(
        images=ConcatenatedImages([rng.integers(0, 256, (n, 2, 112, 112, 3), dtype=np.uint8)]),
        state=rng.normal(size=(n, 11)).astype(np.float32),
        actions=rng.normal(size=(n, 7)).astype(np.float32),
        privileged=rng.normal(size=(n, 6)).astype(np.float32),
        episode=np.repeat([0, 1], 5),
        last=np.repeat([4, 9], 5),
        instruction=np.zeros(n, int),
        instructions=("lift the cup",),
    )
    stats = NormStats.of(np.asarray(episodes.state)), NormStats.of(np.asarray(episodes.actions))
    mixture = Mixture.of_one_robot(episodes, Robot("panda", libero_features(), *stats))
    mixture = replace(mixture, privileged=NormStats.of(np.asarray(episodes.privileged)))
    monkeypatch.setattr("asyncvla_ros.training.train.load_mixture", lambda *_, **__: mixture)
    monkeypatch.setattr("asyncvla_ros.training.train.robot_contracts", lambda *_: {})
    return mixture


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, parts = replace(SETTINGS, out=tmp_path / "whole"), replace(SETTINGS, out=tmp_path / "parts")
    train(whole)
    report = Log.report

    def killed(self: Log, step: int, **metrics: float) -> None:
        if step == 3:
            raise KeyboardInterrupt
        report(self, step, **metrics)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "report", killed)
        with pytest.raises(KeyboardInterrupt):
            train(parts)
    early = _weights(parts.out)
    train(parts)
    expected, resumed = _weights(whole.out), _weights(parts.out)
    assert expected.keys() == resumed.keys()
    for name, weight in expected.items():
        assert torch.equal(weight, resumed[name]), name
    assert any(not torch.equal(weight, early[name]) for name, weight in expected.items())


def test_a_blind_policy_is_saved_as_one(tmp_path: Path):
    train(replace(SETTINGS, out=tmp_path, steps=1, blank_images=True))
    assert load_checkpoint(tmp_path).model.config.blank_images


def test_words_that_a_policy_does_not_know_change_nothing_else(
    demonstrations: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = replace(SETTINGS, out=tmp_path / "first", steps=1, holdout=0.0)
    train(first)
    source = load_checkpoint(first.out)
    own = replace(source.model.config, chunk_size=16, num_denoise_steps=5, strategy={"mode": "sfm"})
    source.model.configure(own)
    save_checkpoint(first.out, source)
    episodes = replace(demonstrations.episodes, instructions=("push the large plate",))
    other = replace(demonstrations, episodes=episodes)
    monkeypatch.setattr("asyncvla_ros.training.train.load_mixture", lambda *_, **__: other)
    train(replace(first, out=tmp_path / "second", init=first.out))
    config = load_checkpoint(tmp_path / "second").model.config
    words = config.backbone["text_config"]["vocab_size"]
    assert words != own.backbone["text_config"]["vocab_size"]
    text = {**own.backbone["text_config"], "vocab_size": words}
    assert config == replace(own, backbone={**own.backbone, "text_config": text})


def test_a_loss_that_is_no_number_ends_the_run_before_it_spoils_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    good, run = replace(SETTINGS, out=tmp_path / "good", steps=2), replace(SETTINGS, out=tmp_path / "run")
    train(good)
    forward, calls = PolicyLoss.forward, itertools.count()

    def spoiled(self, *args):
        loss, flow_loss = forward(self, *args)
        return (loss * float("nan") if next(calls) == 2 else loss), flow_loss

    monkeypatch.setattr(PolicyLoss, "forward", spoiled)
    with pytest.raises(AsyncVLAError, match="the loss is nan at step 2, whose batch is of the episodes 0; "):
        train(run)
    # The state of step 2 is the last one.
    assert all(torch.isfinite(weights).all() for weights in _weights(tmp_path / "run").values())
    monkeypatch.setattr(PolicyLoss, "forward", forward)
    train(run)
    assert all(torch.isfinite(weights).all() for weights in _weights(tmp_path / "run").values())
