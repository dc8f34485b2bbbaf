"""Images of frames, decoded on demand or all ahead of time."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from asyncvla_ros.data.cache import cache_key, cached_folder
from asyncvla_ros.data.contracts import camera_keys
from asyncvla_ros.data.dataset import DatasetInfo
from asyncvla_ros.data.encoded_image import decode
from asyncvla_ros.data.image_files import pack_images
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.tables import count_rows, data_files, encoded_images
from asyncvla_ros.data.videos import Videos, find_videos
from asyncvla_ros.model.images import resize_image
from asyncvla_ros.types import AsyncVLAError

#: ``stream``: decode frames on demand; ``ahead``: decode all frames into a file first.
DECODE = ("ahead", "stream")
# Number of frames of a video to decode together, ahead of time.
_STRETCH = 256


class ImageArray(Protocol):
    """Images of a dataset, indexed by rows of its tables."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return the images at rows (b,), (b, cameras, size, size, 3) uint8."""


class PictureSource(Protocol):
    """Source of the pictures of one camera."""

    def read(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the pictures at rows (b,) in any order: index into ``rows`` and picture (h, w, 3) uint8."""


class ConcatenatedImages:
    """Images of several datasets, read as one.

    Args:
        parts: Images of each dataset, (n, cameras, size, size, 3) uint8: an array or ``LazyImages``.
        rows: Used rows (m,) of each, in order; None: all.
    """

    def __init__(self, parts: Sequence[ImageArray], rows: Sequence[np.ndarray] | None = None) -> None:
        self._parts = parts
        self._rows = rows
        self.lengths = tuple(len(used) for used in (parts if rows is None else rows))
        self._starts = np.cumsum([0, *self.lengths])

    def take(self, frames: np.ndarray) -> np.ndarray:
        """Return the images at frames (b,), (b, cameras, size, size, 3)."""
        out = np.empty((len(frames), *self._parts[0].shape[1:]), np.uint8)
        part = np.searchsorted(self._starts, frames, side="right") - 1
        for number in np.unique(part):
            places = np.flatnonzero(part == number)
            rows = frames[places] - self._starts[number]
            out[places] = self._parts[number][rows if self._rows is None else self._rows[number][rows]]
        return out


class LazyImages:
    """Images of a dataset that are decoded and resized on access.

    Args:
        sources: The cameras.
        count: Number of frames in the tables.
        size: Side of the images [px].
        turn: Whether to rotate them by 180 degrees.
    """

    def __init__(self, sources: Sequence[PictureSource], count: int, size: int, *, turn: bool) -> None:
        self._sources = sources
        self._turn = turn
        self.shape: tuple[int, ...] = (count, len(sources), size, size, 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for camera, source in enumerate(self._sources):
            for place, picture in source.read(rows):
                out[place, camera] = prepared(picture, self.shape[2], turn=self._turn)
        _return_free_memory()
        return out


def _return_free_memory() -> None:
    """Return free memory to the system, because opening and closing videos fragments the heap."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def prepared(picture: np.ndarray, size: int, *, turn: bool) -> np.ndarray:
    """Resize a picture (h, w, 3) to (size, size, 3); rotate it by 180 degrees if ``turn``."""
    return resize_image(cv2.rotate(picture, cv2.ROTATE_180) if turn else picture, size)


def lazy_images(info: DatasetInfo, spec: DatasetSpec, size: int, cache: Path, rows: int) -> LazyImages:
    """Open the images of a dataset with ``rows`` frames; raise AsyncVLAError if they are missing."""
    sources: list[PictureSource] = [
        find_videos(info, key, rows) if info.is_video(key) else pack_images(info, key, cache, rows)
        for key in camera_keys(info, spec)
    ]
    return LazyImages(sources, rows, size, turn=spec.rotate_180)


def decoded_images(info: DatasetInfo, spec: DatasetSpec, size: int, cache: Path, rows: int) -> np.ndarray:
    """Map images (rows, cameras, size, size, 3) uint8 from a file, written on first use; errors as above."""
    keys = camera_keys(info, spec)
    videos = {key: find_videos(info, key, rows) for key in keys if info.is_video(key)}
    files = [file for video in videos.values() for file in video.files]
    if len(videos) < len(keys):
        files += data_files(info.root)

    def build(folder: Path) -> None:
        shape = (rows, len(keys), size, size, 3)
        array = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
        for camera, key in enumerate(keys):
            count = 0
            for row, picture in _by_file(videos[key], rows) if key in videos else _from_tables(info, key):
                count += 1
                if row < rows:
                    array[row, camera] = prepared(picture, size, turn=spec.rotate_180)
            if count != rows:
                raise AsyncVLAError(f"{info.root}: {key} has {count} images, the tables have {rows} frames")
        array.flush()

    name = f"frames-{cache_key(keys, size, spec.rotate_180, files=files)}"
    return np.load(cached_folder(cache / name, build) / "images.npy", mmap_mode="r")


def pictures(info: DatasetInfo, key: str, rows: range) -> Iterator[np.ndarray]:
    """Yield a camera's pictures (h, w, 3) uint8 in order of the rows of the tables."""
    if info.is_video(key):
        videos = find_videos(info, key, count_rows(info.root))
        for row in rows:
            yield from (picture for _, picture in videos.read(np.array([row])))
    else:
        yield from (picture for _, picture in islice(_from_tables(info, key), rows.start, rows.stop))


def _by_file(videos: Videos, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield row and picture of all videos, nearly in order."""
    for start in range(0, rows, _STRETCH):
        for place, picture in videos.read(np.arange(start, min(start + _STRETCH, rows))):
            yield start + place, picture


def _from_tables(info: DatasetInfo, key: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield row and picture of a camera whose images are in the tables, in order."""
    for row, content in enumerate(encoded_images(info, key)):
        yield row, decode(content, f"{info.root}: frame {row} of {key}")
