"""Datasets as people have them: read, or refused with file, place and remedy; nothing is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncvla_ros.data.episodes import load_episodes
from asyncvla_ros.types import AsyncVLAError
from support.datasets import SIZE, change_columns, write_dataset, write_tasks

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
TABLE = "data/chunk-000/file-000.parquet"
VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def load(root: Path, cache: Path, **options):
    return load_episodes([root], SIZE, cache, **options)


@pytest.mark.parametrize("as_images", [False, True])
@pytest.mark.parametrize("task_column", [False, True])
def test_every_layout_gives_the_same_episodes(tmp_path, cache, as_images, task_column):
    root = write_dataset(tmp_path / "d", as_images=as_images, task_column=task_column)
    episodes = load(root, cache)
    assert episodes.instructions == ("lift", "place")
    assert episodes.instruction[:].tolist() == [0] * 5 + [1] * 4
    assert episodes.state[:][:, 0].tolist() == list(range(9))
    brightness = episodes.images.take(np.arange(9)).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(brightness, 10 * np.arange(9), atol=3)


def test_episodes_shorter_than_a_chunk_repeat_their_last_action(tmp_path, cache):
    episodes = load(write_dataset(tmp_path / "d", lengths=(1, 2)), cache)
    assert episodes.chunks(np.array([0, 1]), 4)[:, :, 0].tolist() == [[0.5] * 4, [1.5, 2.5, 2.5, 2.5]]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("meta/tasks.parquet", POINTER, r"tasks.parquet cannot be read .*git lfs pull"),
        ("data/chunk-000/file-000.parquet", POINTER, r"file-000.parquet cannot be read .*git lfs pull"),
        (VIDEO, POINTER, r"file-000.mp4 cannot be decoded .*git lfs pull"),
        ("meta/tasks.parquet", None, r"tasks.parquet cannot be read"),
        ("data/chunk-000/file-000.parquet", None, r"has no data/\*/\*.parquet"),
        (VIDEO, None, r"has no videos/observation.images.top/"),
    ],
)
def test_a_file_that_is_missing_or_a_pointer_is_named(tmp_path, cache, file, text, message):
    root = write_dataset(tmp_path / "d")
    (root / file).unlink() if text is None else (root / file).write_text(text)
    with pytest.raises(AsyncVLAError, match=message):
        load(root, cache)
    assert not list(cache.glob("frames-*")) and not list(cache.glob("*.partial")), (
        "no half of a cache is left"
    )


def test_a_video_of_another_length_leaves_nothing_behind(tmp_path, cache):
    root = write_dataset(tmp_path / "d")
    change_columns(root, **{"observation.state": [[0.0, 0.0]] * 9})
    video = root / VIDEO
    write_dataset(tmp_path / "other", lengths=(3,))
    video.write_bytes((tmp_path / "other" / VIDEO).read_bytes())
    with pytest.raises(AsyncVLAError, match=r"observation.images.top has 3 images, the tables have 9 frames"):
        load(root, cache)
    assert not list(cache.glob("frames-*")) and not list(cache.glob("*.partial"))


def test_images_that_are_missing_in_the_tables_are_named(tmp_path, cache):
    root = write_dataset(tmp_path / "d", as_images=True)
    change_columns(root, **{"observation.images.top": [{"bytes": b"no picture", "path": None}] * 9})
    with pytest.raises(AsyncVLAError, match=r"frame 0 of observation.images.top: .* do not decode"):
        load(root, cache)
    change_columns(root, **{"observation.images.top": [{"bytes": b"", "path": "gone.png"}] * 9})
    with pytest.raises(AsyncVLAError, match=r"a frame of observation.images.top has no image"):
        load(root, cache)


def test_what_is_no_number_is_named_and_left_out_when_asked(tmp_path, cache):
    root = write_dataset(tmp_path / "d", lengths=(3, 3, 3))
    state = [[float(i), -float(i)] for i in range(9)]
    state[4][1] = float("nan")
    change_columns(root, **{"observation.state": state})
    with pytest.raises(AsyncVLAError) as error:
        load(root, cache)
    assert str(error.value) == (
        f"{root}: j2 = nan in frame 1 of episode 1; 1 of 3 episodes have such frames (1); leave these "
        "episodes out with --skip-broken"
    )
    episodes = load(root, cache, skip_broken=True)
    assert episodes.state[:][:, 0].tolist() == [0, 1, 2, 6, 7, 8]
    assert episodes.images.lengths == (6,)
    np.testing.assert_allclose(episodes.images.take(np.array([3])).mean(), 60, atol=3)
    assert episodes.chunks(np.array([2]), 2)[0, :, 0].tolist() == [2.5, 2.5]
    change_columns(root, action=[[float("inf"), 0.0]] * 9)
    with pytest.raises(AsyncVLAError, match="every episode has states or actions that are no numbers"):
        load(root, cache, skip_broken=True)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"action": None}, "file-000.parquet has no column action, expected it in every file"),
        ({"task_index": [7] * 9}, r"task 7 is not in meta/tasks.parquet, which has 0, 1"),
        ({"action": [[0.0, 0.0]] * 8 + [[0.0]]}, "row 8 of action has 1 numbers, meta/info.json says 2"),
        ({"action": [["a", "b"]] * 9}, "action is not numbers"),
        ({"episode_index": ["a"] * 9}, "episode_index is not whole numbers"),
    ],
)
def test_tables_that_contradict_themselves_are_named(tmp_path, cache, columns, message):
    root = write_dataset(tmp_path / "d")
    change_columns(root, **columns)
    with pytest.raises(AsyncVLAError, match=message):
        load(root, cache)


def test_tasks_without_texts_are_refused(tmp_path, cache):
    root = write_dataset(tmp_path / "d")
    write_tasks(root, [3, 4])  # type: ignore[list-item]
    with pytest.raises(AsyncVLAError, match=r"expected task_index, and the text of each task .* columns"):
        load(root, cache)


ODD = [None, 0, -1, 1.5, "x", [], {}, [2], [0], [2, 2], {"a": 0}, [[1]], True, 1e9]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_an_info_says(tmp_path_factory, drawn):
    root = write_dataset(tmp_path_factory.mktemp("d") / "d", as_images=True)
    file = root / "meta" / "info.json"
    info = json.loads(file.read_text())
    for _ in range(drawn.draw(st.integers(1, 2))):
        place = drawn.draw(st.sampled_from([info, info["features"], *info["features"].values()]))
        if isinstance(place, dict) and place:
            place[drawn.draw(st.sampled_from(sorted(place)))] = drawn.draw(st.sampled_from(ODD))
        if not isinstance(info["features"], dict):
            break
    file.write_text(json.dumps(info))
    try:
        load(root, root / "cache")
    except AsyncVLAError as error:
        assert str(root) in str(error)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.sampled_from(("meta/info.json", "meta/tasks.parquet", TABLE, VIDEO)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)
def test_whatever_a_file_holds(tmp_path_factory, which, changes, share):
    root = write_dataset(tmp_path_factory.mktemp("d") / "d", lengths=(3,))
    file = root / which
    spoiled = bytearray(file.read_bytes())
    for place, value in changes:
        spoiled[place % len(spoiled)] = value
    file.write_bytes(spoiled[: round(share * len(spoiled))])
    try:
        load(root, root / "cache")
    except AsyncVLAError as error:
        assert str(root) in str(error)
    assert not list((root / "cache").glob("*.partial"))
