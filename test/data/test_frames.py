"""Images when they are needed, from videos and tables, in any order: the same as all of them in order."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.data import video_reader
from asyncvla_ros.data.dataset import dataset_info
from asyncvla_ros.data.episodes import load_episodes
from asyncvla_ros.data.frames import decoded_images, lazy_images, pictures
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.videos import find_videos
from asyncvla_ros.types import AsyncVLAError
from support.datasets import SIZE, write_dataset, write_episode_index, write_video

KEY = "observation.images.top"
BACKENDS = [
    pytest.param(True, marks=pytest.mark.skipif(not video_reader.has_torchcodec(), reason="no torchcodec")),
    False,
]


@pytest.fixture(params=BACKENDS, ids=lambda param: "torchcodec" if param else "pyav")
def backend(request, monkeypatch):
    monkeypatch.setattr(video_reader, "has_torchcodec", lambda: request.param)


def scene(count: int) -> list[np.ndarray]:
    """Pictures of which each differs from all others, and top from bottom."""
    rows = np.linspace(0, 60, SIZE, dtype=np.uint8)[:, None, None]
    return [np.broadcast_to(rows + 6 * i, (SIZE, SIZE, 3)).astype(np.uint8) for i in range(count)]


def video(root: Path, number: int = 0) -> Path:
    return root / "videos" / KEY / "chunk-000" / f"file-{number:03d}.mp4"


def brightness(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2, 3, 4))


def test_a_frame_is_the_same_in_any_order(tmp_path, backend):
    root = write_dataset(tmp_path / "d", lengths=(20,))
    write_video(video(root), scene(20))
    expected = np.stack(list(video_reader.video_pictures(video(root))))
    found = find_videos(dataset_info(root), KEY, 20)
    rows = np.random.default_rng(0).permutation(np.tile(np.arange(20), 2))
    read = dict(found.read(rows))
    assert sorted(read) == list(range(40))
    for place, row in enumerate(rows):
        difference = np.abs(read[place].astype(int) - expected[row])
        assert difference.max() <= 2, (place, row)
    for row, picture in enumerate(pictures(dataset_info(root), KEY, range(3, 9)), start=3):
        assert np.abs(picture.astype(int) - expected[row]).max() <= 2


def test_episodes_are_found_where_the_index_says(tmp_path, backend):
    """Three episodes in two videos, not in their order, and one of them twice."""
    root = write_dataset(tmp_path / "d", lengths=(3, 2, 4, 3))
    write_video(video(root, 0), scene(6))
    write_video(video(root, 1), [255 - picture for picture in scene(4)])
    write_episode_index(root, (3, 2, 4, 3), files=(0, 0, 1, 0), starts=(3, 0, 0, 3))
    images = lazy_images(dataset_info(root), DatasetSpec(root), SIZE, tmp_path / "cache", 12)
    middle = np.mean(np.linspace(0, 60, SIZE, dtype=np.uint8))
    gray = middle + 6 * np.array([3, 4, 5, 0, 1, 0, 1, 2, 3, 3, 4, 5])
    gray[5:9] = 255 - gray[5:9]
    order = np.array([8, 0, 11, 4, 5, 2, 3, 1, 6, 7, 10, 9])
    np.testing.assert_allclose(brightness(images[order]), gray[order], atol=2.5)
    ahead = decoded_images(dataset_info(root), DatasetSpec(root), SIZE, tmp_path / "cache", 12)
    np.testing.assert_array_equal(ahead[order], images[order])


@pytest.mark.parametrize("as_images", [False, True])
def test_streamed_images_are_those_decoded_ahead(tmp_path, as_images):
    root = write_dataset(tmp_path / "d", as_images=as_images)
    ahead, stream = (
        load_episodes([root], 20, tmp_path / "cache", decode=decode).images for decode in ("ahead", "stream")
    )
    frames = np.array([8, 0, 3, 3])
    np.testing.assert_array_equal(stream.take(frames), ahead.take(frames))
    assert stream.lengths == ahead.lengths == (9,)
    with pytest.raises(AsyncVLAError, match="decode is 'late', choose one of"):
        load_episodes([root], 20, tmp_path / "cache", decode="late")


def test_half_a_turn(tmp_path):
    root = write_dataset(tmp_path / "d", lengths=(2,))
    marked = np.zeros((SIZE, SIZE, 3), np.uint8)
    marked[:8, :8] = 200
    write_video(video(root), [marked, marked])
    turned, plain = (
        lazy_images(dataset_info(root), DatasetSpec(root, rotate_180=turn), SIZE, tmp_path, 2)[np.array([1])]
        for turn in (True, False)
    )
    np.testing.assert_array_equal(turned[0, 0], plain[0, 0, ::-1, ::-1])
    assert plain[0, 0, 2, 2, 0] > 150 > 50 > turned[0, 0, 2, 2, 0]


def test_a_video_that_is_too_short_for_its_episodes_is_named(tmp_path):
    root = write_dataset(tmp_path / "d", lengths=(5, 4))
    write_video(video(root), scene(5))
    write_episode_index(root, (5, 4), files=(0, 0), starts=(0, 5))
    with pytest.raises(AsyncVLAError, match=r"file-000.mp4 ends after 0.17 s, .* expects 0.30 s"):
        find_videos(dataset_info(root), KEY, 9)
    with pytest.raises(AsyncVLAError, match="meta/episodes does not cover the 10 frames"):
        find_videos(dataset_info(root), KEY, 10)


def test_a_video_that_breaks_off_is_named_when_it_is_read(tmp_path, backend):
    root = write_dataset(tmp_path / "d", lengths=(20,))
    found = find_videos(dataset_info(root), KEY, 20)
    video(root).write_bytes(b"nothing")
    with pytest.raises(AsyncVLAError, match=r"file-000.mp4 cannot be decoded"):
        list(found.read(np.array([3])))


def test_without_torchcodec_it_is_said_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    video_reader.has_torchcodec.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert [video_reader.has_torchcodec() for _ in range(2)] == [False, False]
        assert len(caplog.records) == 1 and "apt-get install ffmpeg" in caplog.text
    finally:
        video_reader.has_torchcodec.cache_clear()
