"""Several datasets together: robots by contract, each with its own statistics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.common.normalization import MIN_DELTA_STD, MIN_STD
from asyncvla_ros.data.mixture import load_mixture, write_statistics
from asyncvla_ros.types import AsyncVLAError
from support.datasets import change_columns, write_dataset

THREE = {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]}


@pytest.fixture
def data(tmp_path) -> Path:
    """Two datasets of one arm, and one of another with three dims, whose frames count half."""
    for name in ("a", "b"):
        write_dataset(tmp_path / name)
    write_dataset(tmp_path / "c", tasks=("push",), **{"observation.state": THREE, "action": THREE})
    wide = [[100.0 + i, 0.0, 1.0] for i in range(9)]
    change_columns(tmp_path / "c", **{"observation.state": wide, "action": wide})
    file = tmp_path / "data.yaml"
    file.write_text(
        f"""
        lerobot_datasets:
          - {{root: {tmp_path}/a, action_space: joint_position}}
          - {{root: {tmp_path}/c, weight: 0.5, action_space: delta_ee_pose}}
          - {{root: {tmp_path}/b, action_space: joint_position}}
        """
    )
    return file


@pytest.fixture
def mixture(data, tmp_path):
    return load_mixture([data], 16, tmp_path / "cache", "ee_pose")


def test_each_robot_has_its_contract_and_statistics(mixture):
    assert [robot.name for robot in mixture.robots] == ["a", "c"]
    assert mixture.robot_of == (0, 1, 0) and mixture.weights == (1.0, 0.5, 1.0)
    arm, other = mixture.robots
    assert arm.features.action_names == ("j1", "j2") and other.features.action_names == ("x", "y", "z")
    np.testing.assert_allclose(arm.state_stats.mean, [4, -4])
    np.testing.assert_allclose(other.state_stats.mean, [104, 0, 1])
    assert (arm.action_stats.floor, other.action_stats.floor) == (MIN_STD, MIN_DELTA_STD)


def test_datasets_follow_each_other_as_episodes(mixture):
    episodes = mixture.episodes
    assert len(episodes.datasets) == 3 and episodes.instructions == ("lift", "place", "push")
    assert episodes.episode[:].tolist() == [0] * 5 + [1] * 4 + [2] * 5 + [3] * 4 + [4] * 5 + [5] * 4
    assert episodes.state[np.array([8, 9])].tolist() == [[8, -8, 0], [100, 0, 1]]
    # Frame 8 is the last one of its episode, and of its dataset.
    assert episodes.chunks(np.array([8]), 2)[0, :, 0].tolist() == [8.5, 8.5]


def test_statistics_of_robots_and_datasets_are_written(mixture, tmp_path):
    write_statistics(mixture, tmp_path)
    written = json.loads((tmp_path / "statistics.json").read_text())
    assert written["robots"]["c"]["action"]["mean"] == [104, 0, 1] and set(written["robots"]) == {"a", "c"}
    assert [(one["robot"], one["weight"], one["frames"]) for one in written["datasets"]] == [
        ("a", 1.0, 9), ("c", 0.5, 9), ("a", 1.0, 9),
    ]  # fmt: skip


def test_the_same_dataset_twice_cannot_be_held_out(tmp_path):
    root = write_dataset(tmp_path / "a", lengths=(3, 3))
    mixture = load_mixture([root, root], 16, tmp_path / "cache", "joint_position")
    assert len(mixture.episodes.split(0.0)[0]) == 12
    with pytest.raises(AsyncVLAError, match=r"the same dataset is given twice.*`weight: 2`"):
        mixture.episodes.split(0.5)


def test_another_number_of_cameras_is_refused(tmp_path):
    camera = {"dtype": "video", "shape": [32, 32, 3]}
    write_dataset(tmp_path / "a")
    write_dataset(tmp_path / "b", **{"observation.images.wrist": camera})
    with pytest.raises(AsyncVLAError, match=r"as many cameras each, but .*a has 1, .*b has 2; choose with"):
        load_mixture([tmp_path], 16, tmp_path / "cache", "joint_position")
