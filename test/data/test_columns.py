"""Numbers of a dataset on disk: the same as in its tables, with statistics, whatever the size of pieces."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.data import tables
from asyncvla_ros.data.cache import cached_folder
from asyncvla_ros.data.columns import load_columns
from asyncvla_ros.data.dataset import dataset_info
from asyncvla_ros.data.rows import Rows
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.statistics import pooled
from asyncvla_ros.types import AsyncVLAError
from support.datasets import change_columns, write_dataset


def load(root: Path, *, skip_broken: bool = False, **spec):
    return load_columns(
        dataset_info(root), DatasetSpec(root, **spec), root / "cache", skip_broken=skip_broken
    )


@pytest.fixture
def root(tmp_path):
    """Three episodes of 5, 1 and 9 frames, of random numbers."""
    root = write_dataset(tmp_path / "d", lengths=(5, 1, 9))
    rng = np.random.default_rng(0)
    state, action = rng.normal(5, 2, (15, 2)), rng.random((15, 2))
    change_columns(root, **{"observation.state": state.tolist(), "action": action.tolist()})
    return root


@pytest.mark.parametrize("rows", [2, 4, 8192])
def test_columns_and_statistics_do_not_depend_on_pieces(root, monkeypatch, rows):
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", rows)
    columns = load(root)
    table = tables.read_parquet(tables.data_files(root)[0])
    state = np.array(table["observation.state"].to_pylist(), np.float32)
    np.testing.assert_array_equal(columns.state, state)
    assert columns.episode.tolist() == [0] * 5 + [1] + [2] * 9
    assert columns.last.tolist() == [4] * 5 + [5] + [14] * 9
    assert [columns.texts[task] for task in columns.task[[0, 5, 6]]] == ["lift", "place", "lift"]
    assert isinstance(columns.state, np.memmap)
    ours, expected = columns.summaries["state"].norm_stats(), NormStats.of(state)
    for name in ("mean", "std", "q01", "q99"):
        np.testing.assert_allclose(getattr(ours, name), getattr(expected, name), rtol=1e-6)


def test_statistics_of_several_datasets_are_those_of_all_their_frames(root, tmp_path):
    other = load(write_dataset(tmp_path / "e", lengths=(20,)))
    own = load(root)
    both = pooled([own.summaries["state"], other.summaries["state"]], [own.state, other.state]).norm_stats()
    expected = NormStats.of(np.concatenate([own.state, other.state]))
    for name in ("mean", "std", "q01", "q99"):
        np.testing.assert_allclose(getattr(both, name), getattr(expected, name), rtol=1e-5, atol=1e-6)


def test_episodes_are_chosen_by_number(root):
    columns = load(root, episodes=(0, 2))
    assert columns.row.tolist() == [*range(5), *range(6, 15)] and columns.rows == 15
    assert columns.last.tolist() == [4] * 5 + [13] * 9 and columns.texts == ("lift",)
    with pytest.raises(AsyncVLAError, match="has no episode 7; its last one is 2"):
        load(root, episodes=(0, 7))


def test_a_gripper_that_is_1_when_open_becomes_minus_1(root):
    plain, turned = load(root), load(root, invert_gripper=True)
    np.testing.assert_array_equal(turned.action[:, 0], plain.action[:, 0])
    np.testing.assert_allclose(turned.action[:, 1], 1 - 2 * plain.action[:, 1], rtol=1e-6)
    assert turned.digest != plain.digest
    change_columns(root, action=[[0.0, -1.0]] * 15)
    with pytest.raises(AsyncVLAError, match=r"0 \(closed\) to 1 \(open\), found -1 to -1"):
        load(root, invert_gripper=True)


def test_vectors_are_joined_in_the_order_given(root):
    columns = load(root, select_state_keys=("action", "observation.state"))
    np.testing.assert_array_equal(columns.state, np.concatenate([columns.action, load(root).state], axis=1))


def test_another_table_gives_other_columns(root):
    before = load(root).state.copy()
    change_columns(root, **{"observation.state": (before + 1).tolist()})
    np.testing.assert_array_equal(load(root).state, before + 1)


def test_episodes_out_of_order_are_refused(root):
    change_columns(root, episode_index=[0] * 5 + [1] + [0] * 9)
    with pytest.raises(AsyncVLAError, match="episode 0 comes after episode 1, expected in order"):
        load(root)


def test_those_who_begin_together_share_one_pass(tmp_path):
    built, begin = [], Barrier(3)

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "file").write_text("whole")

    def use(_: int) -> str:
        begin.wait()
        return (cached_folder(tmp_path / "cache" / "it", build) / "file").read_text()

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(use, range(3))) == ["whole"] * 3
    assert len(built) == 1 and [path.name for path in (tmp_path / "cache").iterdir()] == ["it"]


def test_rows_of_several_arrays_are_read_as_one():
    rows = Rows([np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])])
    assert rows.shape == (3, 2) and len(rows) == 3
    assert rows[np.array([[2, 0]])].tolist() == [[[4.0, 0.0], [1.0, 2.0]]]
    assert rows[1].tolist() == [3.0, 0.0] and rows[1:].tolist() == [[3.0, 0.0], [4.0, 0.0]]
    numbers = Rows([np.array([0, 1]), np.array([0])], offsets=[0, 2])
    assert numbers[:].tolist() == [0, 1, 2] and int(numbers[2]) == 2
    words = Rows([np.array([0, 1]), np.array([0])], tables=[np.array([7, 8]), np.array([9])])
    assert words[:].tolist() == [7, 8, 9]
    for outside in (3, -1):
        with pytest.raises(IndexError):
            rows[outside]
