from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncvla_ros.model.asyncvla import Inputs
from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
from asyncvla_ros.model.checkpoint_files import FILES as BESIDE_WEIGHTS
from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.types import AsyncVLAError, CheckpointError
from support.checkpoints import tiny_checkpoint

FILES = (*BESIDE_WEIGHTS, "model.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path / "tiny")


@torch.no_grad()
def test_saved_and_loaded_gives_identical_actions(folder: Path, tmp_path: Path, inputs: Inputs):
    first = load_checkpoint(folder)
    save_checkpoint(tmp_path / "again", first)
    second = load_checkpoint(tmp_path / "again")
    noise, mask = torch.randn(2, 8, 8), torch.ones(2, 8)
    actions = [
        c.model.sample(c.model.encode(inputs), noise, mask, noise, torch.ones(8), 2) for c in (first, second)
    ]
    assert torch.equal(*actions)
    assert first.features == second.features
    assert first.tokenizer.to_str() == second.tokenizer.to_str()
    assert first.model.config == second.model.config


def test_a_scale_for_each_place_survives_json():
    config = nano_config(8, rater=RaterConfig(label="per_step", error_scale=(0.1, 0.2)))
    assert AsyncVLAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("name", "value"), [("n_action_steps", 9), ("num_denoise_steps", "ten"), ("attention", "flash")]
)
def test_a_config_that_cannot_be_used_is_refused(name: str, value: object):
    with pytest.raises(CheckpointError, match=rf"{name} is {value!r}, (expected|choose one of)"):
        AsyncVLAConfig.from_dict({**nano_config(8).to_dict(), name: value})


def test_half_precision_storage_computes_in_float32(folder: Path, tmp_path: Path):
    save_checkpoint(tmp_path / "half", load_checkpoint(folder), torch.float16)
    half = tmp_path / "half"
    assert (half / "model.safetensors").stat().st_size < 0.6 * (folder / "model.safetensors").stat().st_size
    assert {p.dtype for p in load_checkpoint(half).model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"\['{name}'\] not found"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(folder: Path, name: str):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


def test_a_corrupt_weight_file_is_named(folder: Path):
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(CheckpointError, match="corrupt or truncated"):
        load_checkpoint(folder)


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_weights_of_another_shape_say_found_and_expected(folder: Path):
    edit(folder / "config.json", max_action_dim=9)
    with pytest.raises(CheckpointError, match=r"found \(192, 8\), expected \(192, 9\)"):
        load_checkpoint(folder)


def test_a_fingerprint_tells_what_decides_differently(folder: Path, tmp_path: Path):
    first = fingerprint(folder)
    (folder / "README.md").write_text("A model card.")
    assert fingerprint(folder) == first == fingerprint(tiny_checkpoint(tmp_path / "same"))
    edit(folder / "config.json", n_action_steps=2)
    assert fingerprint(folder) != first
    with pytest.raises(CheckpointError, match="not found, expected"):
        fingerprint(tmp_path / "nowhere")


def test_a_fingerprint_needs_no_newer_python_than_humble_has(folder: Path, monkeypatch: pytest.MonkeyPatch):
    first = fingerprint(folder)
    monkeypatch.delattr(hashlib, "file_digest")  # since Python 3.11
    assert fingerprint(folder) == first


def test_whoever_may_read_the_config_may_read_the_weights(folder: Path):
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


def test_an_unknown_setting_lists_the_known(folder: Path):
    edit(folder / "config.json", chunk=8)
    with pytest.raises(CheckpointError, match=r"unknown keys \['chunk'\].*chunk_size"):
        load_checkpoint(folder)


def test_an_unknown_setting_of_the_rater_lists_the_known(folder: Path):
    edit(folder / "config.json", rater={"layers": 2})
    with pytest.raises(CheckpointError, match=r"the rater .* unknown keys \['layers'\].*num_layers"):
        load_checkpoint(folder)


def test_statistics_of_another_length_say_what_was_expected(folder: Path):
    stats = json.loads((folder / "norm_stats.json").read_text())
    stats["action"]["mean"].pop()
    (folder / "norm_stats.json").write_text(json.dumps(stats))
    with pytest.raises(CheckpointError, match=r"action: mean has shape \(6,\), expected \(7,\)"):
        load_checkpoint(folder)


def test_another_number_of_cameras_is_refused(folder: Path):
    cameras = json.loads((folder / "features.json").read_text())["cameras"]
    edit(folder / "features.json", cameras=cameras[:1])
    with pytest.raises(CheckpointError, match=r"1 cameras, config\.json expects 2"):
        load_checkpoint(folder)


def test_non_finite_weights_are_refused(folder: Path):
    checkpoint = load_checkpoint(folder)
    checkpoint.model.action_out[-1].weight.data[0, 0] = torch.nan
    save_checkpoint(folder, replace(checkpoint))
    with pytest.raises(CheckpointError, match="non-finite"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_pointer_of_git_lfs_is_called_that(folder: Path, name: str):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(CheckpointError, match=rf"{name}.*it is a pointer of Git LFS: .*`git lfs pull`"):
        load_checkpoint(folder)


def test_a_whole_number_is_a_floor(folder: Path):
    stats = json.loads((folder / "norm_stats.json").read_text())
    stats["state"]["floor"] = 1
    (folder / "norm_stats.json").write_text(json.dumps(stats))
    assert load_checkpoint(folder).state_stats.floor == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control_hz": 0}, "control_hz is 0.0, expected a number above 0"),
        ({"action_space": "torque"}, "action_space is 'torque', expected one of delta_ee_pose"),
        ({"state_names": []}, r"state_names is \[\], expected at least one name"),
        ({"action_names": ["a", "a"]}, r"action_names is .*expected each name once"),
        ({"cameras": [{"key": "top", "height": "224", "width": 224}]}, "camera top is '224' x 224, expected"),
    ],
)
def test_features_of_another_type_are_refused(folder: Path, change: dict, message: str):
    edit(folder / "features.json", **change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("pristine") / "tiny")


ODD: list[Any] = [None, True, -1, 0, 0.5, 10**30, "x", "", [], [1], {}, {"a": 1}, ["a", "a"], [[1.0]]]


def places(value: Any) -> list[Any]:
    """Every object and list in parsed JSON that holds something."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    below = [place for one in inner for place in places(one)]
    return [value, *below] if inner else below


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_the_files_of_a_checkpoint_say(pristine: Path, drawn: st.DataObject):
    files = ("config.json", "features.json", "norm_stats.json", "training_data.json")
    file = pristine / drawn.draw(st.sampled_from(files))
    before = file.read_text()
    values = json.loads(before)
    for _ in range(drawn.draw(st.integers(1, 2))):
        place = drawn.draw(st.sampled_from(places(values)))
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        place[drawn.draw(st.sampled_from(keys))] = copy.deepcopy(drawn.draw(st.sampled_from(ODD)))
    file.write_text(json.dumps(values))
    try:
        load_checkpoint(pristine)
    except AsyncVLAError as error:
        assert str(error)
    finally:
        file.write_text(before)


def test_a_device_may_be_named_with_its_number(folder: Path):
    assert load_checkpoint(folder, "cpu:0").model.device.type == "cpu"
