"""What people write into a data.yaml: read, or refused with the place and the choices."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncvla_ros.data.contracts import spec_contract
from asyncvla_ros.data.spec import DatasetSpec, dataset_specs
from asyncvla_ros.paths import share_dir
from asyncvla_ros.types import AsyncVLAError
from support.datasets import write_dataset


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write(folder: Path, text: str) -> Path:
    file = folder / "data.yaml"
    file.write_text(text)
    return file


def full_spec(root: Path) -> DatasetSpec:
    return DatasetSpec(
        root, "somebody/arm", ("observation.images.top",), ("observation.state", "action"), ("action",),
        0.5, (0, 1), "joint_position", invert_gripper=True, rotate_180=True, state_names=("a", "b", "c", "d"),
    )  # fmt: skip


def test_every_setting_is_read(home, tmp_path):
    root = write_dataset(home / "somebody" / "arm")
    text = """
    mm_datasets:
    lerobot_datasets:
      - repo_id: somebody/arm
        root: HF_LEROBOT_HOME
        select_video_keys: [observation.images.top]
        select_state_keys: [observation.state, action]
        select_action_keys: [action]
        weight: 0.5
        episodes: "0:2"
        action_space: joint_position
        invert_gripper: true
        rotate_180: true
        names: {state: [a, b, c, d]}
    """
    assert dataset_specs([write(tmp_path, text)]) == (full_spec(root),)


def test_a_repo_id_or_a_root_alone_names_a_dataset(home, tmp_path):
    root = write_dataset(home / "somebody" / "arm")
    text = f"lerobot_datasets: [{{repo_id: somebody/arm}}, {{root: {root}}}]"
    specs = dataset_specs([write(tmp_path, text)])
    assert specs == (DatasetSpec(root, "somebody/arm"), DatasetSpec(root))


def test_names_and_action_space_of_a_spec_go_into_the_contract(tmp_path):
    contract = spec_contract(full_spec(write_dataset(tmp_path / "arm")), "ee_pose")
    assert contract.state_names == ("a", "b", "c", "d") and contract.action_names == ("j1", "j2")
    assert contract.action_space == "joint_position"


def test_a_folder_means_all_of_its_datasets(tmp_path):
    roots = [write_dataset(tmp_path / name) for name in ("a", "b")]
    assert dataset_specs([tmp_path]) == tuple(map(DatasetSpec, roots))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{}", r"\[0\]: expected root, repo_id, or both, found neither"),
        ("{rot: x}", "unknown key rot; the keys are repo_id, root, select_video_keys"),
        ("{root: ROOT, weight: 0}", r"\[0\].weight: expected a number above 0"),
        ("{root: ROOT, action_space: torque}", "expected one of delta_ee_pose, ee_pose"),
        ("{root: ROOT, invert_gripper: 1}", "invert_gripper: expected true or false, found 1"),
        ("{root: ROOT, episodes: [1, 1]}", "expected different episode numbers"),
        ("{root: ROOT, episodes: '5:5'}", "expected different episode numbers"),
        ("{root: ROOT, names: [a]}", "names: expected a mapping with the keys state, action"),
        ("{root: ROOT, select_state_keys: []}", "expected a list with at least one entry"),
        ("{repo_id: who/what}", r"no LeRobot dataset in .*home/who/what.*`hf download who/what --repo-type"),
    ],
)
def test_mistakes_have_a_place_and_an_answer(home, tmp_path, entry, message):
    root = write_dataset(tmp_path / "d")
    file = write(tmp_path, f"lerobot_datasets: [{entry.replace('ROOT', str(root))}]")
    with pytest.raises(AsyncVLAError, match=message) as error:
        dataset_specs([file])
    assert str(error.value).startswith("data.yaml: lerobot_datasets[0]")


@pytest.mark.parametrize("text", ["", "lerobot_datasets:", "[]", "mm_datasets: [x]\nlerobot_datasets: [{}]"])
def test_a_file_without_datasets_is_refused(tmp_path, text):
    with pytest.raises(AsyncVLAError, match=r"data.yaml"):
        dataset_specs([write(tmp_path, text)])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"select_video_keys": ("wrist",)}, r"no camera wrist, choose from \['observation.images.top'\]"),
        ({"select_state_keys": ("pose",)}, "has no pose, expected it among its features"),
        ({"state_names": ("a",)}, "state has 2 dims, the data.yaml names 1"),
        ({"select_state_keys": ("observation.state", "action")}, r"share names of dims .*give names.state"),
    ],
)
def test_keys_that_a_dataset_does_not_have_are_refused(tmp_path, spec, message):
    root = write_dataset(tmp_path / "d")
    with pytest.raises(AsyncVLAError, match=message):
        spec_contract(DatasetSpec(root, **spec), "ee_pose")


def test_the_files_that_are_shipped_can_be_read(home, tmp_path):
    files = sorted((share_dir() / "config" / "data").glob("*.yaml"))
    assert len(files) == 7
    for file in files:
        # Without the data: the first thing missing is the dataset, and nothing else is wrong.
        with pytest.raises(AsyncVLAError, match=r"there is no LeRobot dataset in .*IPEC-COMMUNITY"):
            dataset_specs([file])
