"""What a survey says of a dataset, and what it finds wrong."""

from __future__ import annotations

from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.survey import survey
from support.datasets import change_columns, write_dataset, write_tasks

VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"


def test_a_good_dataset_is_described(tmp_path):
    depth = {"dtype": "video", "shape": [32, 32, 1], "info": {"is_depth_map": True}}
    root = write_dataset(tmp_path / "d", lengths=(5, 9, 9), **{"observation.images.deep": depth})
    lines, problems = survey(DatasetSpec(root), chunk_size=8)
    assert problems == []
    assert lines == [
        "d: 3 episodes, 23 frames at 30 Hz (1 s)",
        "  length     5 to 9 frames, median 9; 1 shorter than a chunk of 8: their last action repeats",
        "  task       'lift': 2 episodes",
        "  task       'place': 1 episodes",
        "  camera     top [32, 32, 3], video",
        "  camera     deep: depth, left out",
        "  state      j1: 0 to 22",
        "  state      j2: -22 to -0",
        "  action     j1: 0.5 to 22.5",
        "  action     j2: -21.5 to 0.5",
    ]


def test_everything_wrong_is_found_in_one_pass(tmp_path):
    root = write_dataset(tmp_path / "d")
    write_dataset(tmp_path / "other", lengths=(3,))
    (root / VIDEO).write_bytes((tmp_path / "other" / VIDEO).read_bytes())
    action = [[0.0, 1.0]] * 8 + [[float("nan"), 1.0]]
    change_columns(root, action=action)
    write_tasks(root, ["lift", " "])
    lines, problems = survey(DatasetSpec(root))
    assert "  action     j1: 0 to 0, always the same" in lines
    assert problems == [
        f"{root}: j1 = nan in frame 3 of episode 1; 1 of 2 episodes have such frames (1); train leaves these "
        "episodes out with --skip-broken",
        f"{root}: some episodes have no task text",
        f"{root}: observation.images.top has 3 images, the tables have 9 frames",
    ]
