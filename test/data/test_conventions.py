"""Public LIBERO datasets, as their info.json describes them, up to the conventions of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asyncvla_ros.data.contracts import feature_contract
from asyncvla_ros.data.mixture import robot_contracts
from asyncvla_ros.sim.libero.conventions import conventions_of
from asyncvla_ros.types import AsyncVLAError

IPEC_STATE = {"motors": ["x", "y", "z", "roll", "pitch", "yaw", "gripper", "gripper"]}
IPEC_ACTION = {"motors": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]}


def write_dataset(
    root: Path, fps: int, state: tuple[str, Any], action: tuple[str, Any], *cameras: str
) -> Path:
    (root / "meta").mkdir(parents=True)
    features: dict[str, Any] = {key: {"dtype": "image", "shape": [256, 256, 3]} for key in cameras}
    for (key, names), size in ((state, 8), (action, 7)):
        features[key] = {"dtype": "float32", "shape": [size], "names": names}
    info = {"codebase_version": "v3.0", "fps": fps, "features": features}
    (root / "meta" / "info.json").write_text(json.dumps(info))
    return root


def data_yaml(file: Path, *datasets: dict[str, Any]) -> Path:
    file.write_text(json.dumps({"lerobot_datasets": list(datasets)}))  # JSON is YAML
    return file


def ipec(root: Path) -> Path:
    state, action = ("observation.state", IPEC_STATE), ("action", IPEC_ACTION)
    cameras = ("observation.images.image", "observation.images.wrist_image")
    return write_dataset(root, 20, state, action, *cameras)


def entry(root: Path, **more: Any) -> dict[str, Any]:
    names = {"state": ["x", "y", "z", "roll", "pitch", "yaw", "finger_left", "finger_right"]}
    return {"root": str(root), "names": names, **more}


def test_physical_intelligence(tmp_path: Path) -> None:
    root = write_dataset(
        tmp_path / "pi", 10, ("state", ["state"]), ("actions", ["actions"]), "image", "wrist_image"
    )
    keys = {"select_video_keys": ["image", "wrist_image"], "select_state_keys": ["state"]}
    file = data_yaml(tmp_path / "data.yaml", {"root": str(root), **keys, "select_action_keys": ["actions"]})
    found = conventions_of(feature_contract([file], "delta_ee_pose"))
    assert [view.camera for view in found.cameras] == ["agentview", "wrist"]
    assert (found.state, found.images, found.gripper) == ("axis_angle", "mirrored", "env")


def test_hugging_face_vla(tmp_path: Path) -> None:
    state, action = ("observation.state", ["state"]), ("action", ["actions"])
    cameras = ("observation.images.image", "observation.images.image2")
    root = write_dataset(tmp_path / "hf", 10, state, action, *cameras)
    found = conventions_of(feature_contract([root], "delta_ee_pose"))
    assert [(view.key, view.camera) for view in found.cameras] == [
        ("image", "agentview"),
        ("image2", "wrist"),
    ]
    assert (found.state, found.images, found.gripper) == ("axis_angle", "mirrored", "env")


def test_ipec_community(tmp_path: Path) -> None:
    root = ipec(tmp_path / "ipec")
    file = data_yaml(tmp_path / "read.yaml", entry(root, invert_gripper=True))
    found = conventions_of(feature_contract([file], "delta_ee_pose"))
    assert (found.state, found.images, found.gripper) == ("axis_angle", "mirrored", "env")
    said = {"gripper": "open_is_one", "images": "upside_down"}
    file = data_yaml(tmp_path / "said.yaml", entry(root, rotate_180=True, conventions=said))
    found = conventions_of(feature_contract([file], "delta_ee_pose"))
    assert (found.images, found.gripper) == ("upside_down", "open_is_one")


def test_one_policy_has_one_convention(tmp_path: Path) -> None:
    one, other = (entry(ipec(tmp_path / name)) for name in ("one", "other"))
    file = data_yaml(tmp_path / "data.yaml", one, {**other, "conventions": {"gripper": "open_is_one"}})
    with pytest.raises(AsyncVLAError, match=r"one and other are of one robot, but .* \{\} and \{'gripper': "):
        robot_contracts([file], "delta_ee_pose")
    with pytest.raises(AsyncVLAError, match="datasets differ"):
        feature_contract([file], "delta_ee_pose")


@pytest.mark.parametrize("value", [["images"], {"images": 180}, "mirrored"])
def test_conventions_are_texts_by_name(tmp_path: Path, value: Any) -> None:
    file = data_yaml(tmp_path / "data.yaml", entry(ipec(tmp_path / "one"), conventions=value))
    with pytest.raises(AsyncVLAError, match=r"lerobot_datasets\[0\]\.conventions: expected texts by name"):
        feature_contract([file], "delta_ee_pose")
