from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asyncvla_ros.data.contracts import feature_contract, require_contract
from asyncvla_ros.data.dataset import dataset_roots
from asyncvla_ros.data.episodes import load_episodes
from asyncvla_ros.types import AsyncVLAError, CameraFeature, ContractError


def write_info(root: Path, action_names: Any, version: str = "v3.0", **features: Any) -> None:
    (root / "meta").mkdir(parents=True)
    info = {
        "codebase_version": version,
        "fps": 30,
        "features": {
            "observation.images.top": {"shape": [480, 640, 3]},
            "observation.state": {"shape": [2], "names": ["j1", "j2"]},
            "action": {"shape": [2], "names": action_names},
            **features,
        },
    }
    (root / "meta" / "info.json").write_text(json.dumps(info))


def test_roots_ignore_unfinished_datasets(tmp_path: Path) -> None:
    for name in ("b", "a", ".c.unfinished"):
        (tmp_path / name / "meta").mkdir(parents=True)
        (tmp_path / name / "meta" / "info.json").write_text("{}")
    assert dataset_roots(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert dataset_roots(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(AsyncVLAError, match=r"meta/info\.json"):
        dataset_roots(tmp_path / "missing")


def test_channels_may_come_first(tmp_path: Path) -> None:
    write_info(tmp_path, ["j1", "j2"], **{"observation.images.top": {"shape": [3, 480, 640]}})
    assert feature_contract([tmp_path], "joint_position").cameras == (CameraFeature("top", 480, 640),)


def test_images_of_other_channels_are_refused(tmp_path: Path) -> None:
    write_info(tmp_path, ["j1", "j2"], **{"observation.images.top": {"shape": [480, 640, 1]}})
    with pytest.raises(AsyncVLAError, match=r"shape \[480, 640, 1\], expected height, width and 3"):
        feature_contract([tmp_path], "joint_position")


@pytest.mark.parametrize("names", [["j1", "j2"], [["j1", "j2"]], {"motors": ["j1", "j2"]}])
def test_names_are_read_in_every_form_that_lerobot_writes(tmp_path: Path, names: Any) -> None:
    write_info(tmp_path, names)
    features = feature_contract([tmp_path], "joint_position")
    assert features.action_names == features.state_names == ("j1", "j2")
    assert features.cameras == (CameraFeature("top", 480, 640),)
    assert (features.action_space, features.action_hz) == ("joint_position", 30.0)


@pytest.mark.parametrize("names", [None, [], ["action"], ["state"]])
def test_dims_without_names_of_their_own_are_numbered(tmp_path: Path, names: Any) -> None:
    write_info(tmp_path, names)
    assert feature_contract([tmp_path], "joint_position").action_names == ("action_0", "action_1")


def test_names_that_number_the_dims_are_put_in_order(tmp_path: Path) -> None:
    write_info(tmp_path, {"delta_y": 1, "delta_x": 0})
    assert feature_contract([tmp_path], "delta_joint_position").action_names == ("delta_x", "delta_y")


@pytest.mark.parametrize("info", [{"is_depth_map": True}, {"video.is_depth_map": True}])
def test_depth_cameras_beside_colors_are_left_out(tmp_path: Path, info: dict[str, bool]) -> None:
    depth = {"shape": [480, 640, 3], "info": info}
    write_info(tmp_path, ["j1", "j2"], **{"observation.images.depth": depth})
    assert feature_contract([tmp_path], "joint_position").cameras == (CameraFeature("top", 480, 640),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "info.json is not JSON"),
        ("", "info.json is not JSON"),
        ("[]", "info.json holds a list, expected an object"),
        ("version https://git-lfs.github.com/spec/v1\noid 1", "fetch the file itself with `git lfs pull`"),
        ('{"codebase_version": "v3.0"}', "fps is None, expected frames per second"),
        ('{"codebase_version": "v3.0", "fps": 30}', "features is None, expected an object"),
        ('{"codebase_version": "v3.0", "fps": 30, "features": {"action": {}}}', "action has the shape None"),
    ],
)
def test_an_info_that_is_cut_or_empty_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text(text)
    with pytest.raises(AsyncVLAError, match=message):
        feature_contract([tmp_path], "joint_position")


@pytest.mark.parametrize(
    ("names", "version", "message"),
    [
        (["a", "b", "c"], "v3.0", r"names the dims of action \['a', 'b', 'c'\], expected 2 names, each once"),
        (["j1", "j1"], "v3.0", r"names the dims of action \['j1', 'j1'\], expected 2 names, each once"),
        (
            ["j1", "j2"],
            "v2.1",
            r"version v2.1, expected v3; `python -m .* --push-to-hub=false` converts",
        ),
        (["j1", "j2"], "v2.0", "of version v2.0, expected v3; first convert it to v2.1 with a LeRobot"),
    ],
)
def test_a_dataset_that_does_not_fit_is_refused(
    tmp_path: Path, names: Any, version: str, message: str
) -> None:
    write_info(tmp_path, names, version)
    with pytest.raises(AsyncVLAError, match=message):
        feature_contract([tmp_path], "joint_position")


def test_a_dataset_without_cameras_is_refused(tmp_path: Path) -> None:
    write_info(tmp_path, ["j1", "j2"], **{"observation.image": {"shape": [96, 96, 3]}})
    info = json.loads((tmp_path / "meta" / "info.json").read_text())
    del info["features"]["observation.images.top"]
    (tmp_path / "meta" / "info.json").write_text(json.dumps(info))
    with pytest.raises(AsyncVLAError, match=r"no camera with colors, expected .*\*.*'observation.image'"):
        feature_contract([tmp_path], "joint_position")


def test_an_old_dataset_is_refused_before_it_is_read(tmp_path: Path) -> None:
    write_info(tmp_path, ["j1", "j2"], "v2.1")
    with pytest.raises(AsyncVLAError, match="convert_dataset_v21_to_v30"):
        load_episodes([tmp_path], 112, tmp_path / "cache")


def test_datasets_must_agree(tmp_path: Path) -> None:
    write_info(tmp_path / "a", ["j1", "j2"])
    write_info(tmp_path / "b", ["j1", "j3"])
    with pytest.raises(AsyncVLAError, match=r"datasets differ: .*a has .*, but .*b has"):
        feature_contract([tmp_path], "joint_position")
    with pytest.raises(AsyncVLAError, match="action_space is 'torque', choose one of"):
        feature_contract([tmp_path / "a"], "torque")


def test_data_that_does_not_fit_a_policy_is_refused(tmp_path: Path) -> None:
    write_info(tmp_path / "a", ["j1", "j2"])
    write_info(tmp_path / "b", ["j1", "j3"])
    features = feature_contract([tmp_path / "a"], "joint_position")
    require_contract([tmp_path / "a"], features)
    with pytest.raises(ContractError, match=r"the data offers .*'j3'.*, but the policy expects .*'j2'"):
        require_contract([tmp_path / "b"], features)
