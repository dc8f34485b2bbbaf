"""The loader of training: the same batches for any number of workers and processes, and from any step on."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from asyncvla_ros.data.mixture import Mixture, load_mixture
from asyncvla_ros.model.asyncvla import Inputs
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer
from asyncvla_ros.training.batches import Batch, Batches, Draws
from asyncvla_ros.training.loader import Drawing, load_batches
from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.types import AsyncVLAError
from support.datasets import change_columns, write_dataset

SIZE = 28


@pytest.fixture
def mixture(tmp_path) -> Mixture:
    """Two robots: one of two dims with a video, one of three with images in the tables."""
    three = {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]}
    write_dataset(tmp_path / "a")
    write_dataset(tmp_path / "b", as_images=True, **{"observation.state": three, "action": three})
    wide = np.random.default_rng(0).normal(100, 1, (9, 3)).tolist()
    change_columns(tmp_path / "b", **{"observation.state": wide, "action": wide})
    return load_mixture([tmp_path], SIZE, tmp_path / "cache", "joint_position", decode="stream")


def load(mixture: Mixture, share: Share, start: int = 0, stop: int = 6, workers: int = 0) -> list[Batch]:
    tokenizer = build_tokenizer(mixture.episodes.instructions)
    config = nano_config(tokenizer.get_vocab_size(), num_cameras=1, image_size=SIZE)
    batches = Batches(mixture, config, tokenizer, shift=2, brightness=0.1)
    order = Order(np.arange(18), mixture.episodes.images.lengths, mixture.weights, seed=1)
    drawing = Drawing(1, 2, 0.3, 0.2, p_earlier=0.5, max_age=2)
    return list(load_batches(batches, drawing, order, share, start, stop, workers))


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    assert batch.draws is not None
    own = {name: getattr(batch, name) for name in ("actions", "dim_mask", "episodes")}
    own |= {field.name: getattr(batch.inputs, field.name) for field in fields(Inputs)}
    return own | {field.name: getattr(batch.draws, field.name) for field in fields(Draws)}


def test_workers_and_processes_and_resuming_change_nothing(mixture):
    alone = load(mixture, Share(4))
    assert len(alone) == 6
    parts = [load(mixture, Share(4, rank, 2)) for rank in (0, 1)]
    forked, resumed = load(mixture, Share(4), workers=2), load(mixture, Share(4), start=2)
    for step in range(2, 6):
        own, later = tensors(forked[step]), tensors(resumed[step - 2])
        ranks = [tensors(part[step]) for part in parts]
        for name, expected in tensors(alone[step]).items():
            assert torch.equal(own[name], expected), name
            assert torch.equal(later[name], expected), name
            assert torch.equal(torch.cat([rank[name] for rank in ranks]), expected), name


def test_each_frame_is_scaled_as_its_robots_are_and_masked(mixture):
    for batch in load(mixture, Share(4)):
        wide = batch.episodes >= 2
        assert batch.dim_mask[wide].tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]] * int(wide.sum())
        assert batch.dim_mask[~wide].tolist() == [[1, 1, 0, 0, 0, 0, 0, 0]] * int((~wide).sum())
        assert batch.inputs.state.abs().max() < 4 and batch.actions.abs().max() < 4
        assert not batch.actions[~wide][..., 2:].any() and not batch.inputs.state[~wide][:, 2:].any()


def test_no_two_observations_share_their_random_numbers(mixture):
    noise = torch.cat([batch.draws.noise.flatten(1) for batch in load(mixture, Share(4)) if batch.draws])
    assert len(torch.unique(noise[:, 0])) == len(noise) == 24


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_is_one_clear_error(mixture, tmp_path, workers):
    video: Path = next((tmp_path / "a").glob("videos/*/*/*.mp4"))
    video.write_bytes(b"nothing")
    with pytest.raises(AsyncVLAError, match=r"^.*file-000.mp4 cannot be decoded") as error:
        load(mixture, Share(4), workers=workers)
    assert "\n" not in str(error.value)


def test_nothing_is_kept_of_an_episode_that_is_a_single_frame(tmp_path):
    write_dataset(tmp_path / "demonstrations")
    write_dataset(tmp_path / "views", lengths=[1] * 9)
    mixture = load_mixture([tmp_path], SIZE, tmp_path / "cache", "joint_position", decode="stream")
    views = mixture.episodes.is_view(np.arange(18))
    assert views.tolist() == [False] * 9 + [True] * 9
    batches = load(mixture, Share(4), stop=9)
    found = set()
    for batch in batches:
        assert batch.draws is not None
        for episode, known, masks in zip(batch.episodes, batch.known, batch.draws.mask, strict=True):
            is_view = bool(episode >= mixture.episodes.episode[9])
            found.add((is_view, bool(masks.all())))
            assert known.tolist() == [1, *[0.0 if is_view else 1.0] * (len(known) - 1)]
    assert {(False, False), (True, True)} <= found and (True, False) not in found
