"""Images from LeRobot's tables, packed into one file so that each can be read alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asyncvla_ros.data.cache import cache_key, cached_folder
from asyncvla_ros.data.dataset import DatasetInfo
from asyncvla_ros.data.encoded_image import decode
from asyncvla_ros.data.tables import data_files, encoded_images
from asyncvla_ros.types import AsyncVLAError


@dataclass(frozen=True)
class ImageFiles:
    """Encoded images of a camera, concatenated in one file.

    Attributes:
        file: The file.
        ends: (n,) int64 end of each image in it.
        where: Place for messages.
    """

    file: Path
    ends: np.ndarray
    where: str

    def read(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the pictures at rows (b,): index into ``rows`` and picture (h, w, 3) uint8."""
        # Read rather than mapped, because mapped pages would count as memory of the process.
        handle = os.open(self.file, os.O_RDONLY)
        try:
            for place, row in enumerate(rows.tolist()):
                begin = int(self.ends[row - 1]) if row else 0
                content = os.pread(handle, int(self.ends[row]) - begin, begin)
                yield place, decode(content, f"{self.where}: frame {row}")
        finally:
            os.close(handle)


def pack_images(info: DatasetInfo, key: str, cache: Path, rows: int) -> ImageFiles:
    """Pack the images of a camera from the tables into a file on first use.

    Args:
        info: Metadata of the dataset.
        key: Key of the camera.
        cache: Folder for data derived from datasets.
        rows: Number of frames in the tables.

    Raises:
        AsyncVLAError: If an image is missing, or the tables are unreadable.
    """

    def build(folder: Path) -> None:
        ends, end = [], 0
        with (folder / "images.bin").open("wb") as out:
            for content in encoded_images(info, key):
                end += out.write(content)
                ends.append(end)
        if len(ends) != rows:
            raise AsyncVLAError(f"{info.root}: {key} has {len(ends)} images, the tables have {rows} frames")
        np.save(folder / "ends.npy", np.array(ends, np.int64))

    folder = cached_folder(cache / f"images-{cache_key(key, files=data_files(info.root))}", build)
    ends = np.load(folder / "ends.npy", mmap_mode="r")
    return ImageFiles(folder / "images.bin", ends, f"{info.root}: {key}")
