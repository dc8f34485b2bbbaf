"""Index of a camera's videos: file and time of every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pyarrow as pa

from asyncvla_ros.data.dataset import DatasetInfo
from asyncvla_ros.data.tables import read_parquet
from asyncvla_ros.data.video_reader import decodable, read_pictures
from asyncvla_ros.types import AsyncVLAError

# Tolerance by which a video may end before its last frame's time is over [frames].
_SHORT = 1.5


@dataclass(frozen=True)
class Videos:
    """The videos of a camera, as stretches of successive frames in one file.

    Attributes:
        files: The videos.
        first: (k,) row of the first frame of each stretch, in the tables of the dataset; increasing.
        file: (k,) index into ``files``.
        start_s: (k,) time of the first frame in its file [s].
        period_s: (k,) time between frames [s].
    """

    files: tuple[Path, ...]
    first: np.ndarray
    file: np.ndarray
    start_s: np.ndarray
    period_s: np.ndarray

    def read(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the pictures at rows (b,), file by file: index into ``rows`` and picture (h, w, 3) uint8."""
        stretch = np.searchsorted(self.first, rows, side="right") - 1
        # The middle of a frame's time, so that rounding cannot lead to its neighbor.
        seconds = self.start_s[stretch] + (rows - self.first[stretch] + 0.5) * self.period_s[stretch]
        files = self.file[stretch]
        for file in np.unique(files):
            places = np.flatnonzero(files == file)
            places = places[np.argsort(seconds[places], kind="stable")]
            pictures = read_pictures(self.files[file], seconds[places].tolist())
            yield from zip(places.tolist(), pictures, strict=True)


def find_videos(info: DatasetInfo, key: str, rows: int) -> Videos:
    """Find the frames of a camera in its videos.

    Args:
        info: Metadata of the dataset.
        key: Key of the camera.
        rows: Number of frames in the tables.

    Raises:
        AsyncVLAError: videos are missing, unreadable, or have other frames than the tables.
    """
    folder = info.root / "meta" / "episodes"
    places = [_places(file, key) for file in sorted(folder.glob("*/*.parquet"))]
    if not places or any(place is None for place in places):
        return _in_order(info, key, rows)
    return _by_episode(info, key, pa.concat_tables(places), rows)


def _places(file: Path, key: str) -> pa.Table | None:
    """Read the columns about videos in LeRobot's index of episodes; None without them."""
    names = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
    columns = ("dataset_from_index", "dataset_to_index", *(f"videos/{key}/{name}" for name in names))
    table = read_parquet(file, columns)
    if set(table.column_names) != set(columns):
        return None
    return table.select(columns).rename_columns(["begin", "end", *names])


def _by_episode(info: DatasetInfo, key: str, places: pa.Table, rows: int) -> Videos:
    """Make one stretch per episode from LeRobot's index."""
    column = {name: places[name].to_numpy() for name in places.column_names}
    first, end = column["begin"], column["end"]
    if not len(first) or first[0] != 0 or end[-1] != rows or (first[1:] != end[:-1]).any():
        raise AsyncVLAError(f"{info.root}: meta/episodes does not cover the {rows} frames of the tables")
    numbers, file = np.unique(
        np.stack([column["chunk_index"], column["file_index"]], axis=1), axis=0, return_inverse=True
    )
    try:
        paths = [
            info.root / info.video_path.format(video_key=key, chunk_index=chunk, file_index=number)
            for chunk, number in numbers.tolist()
        ]
    except (KeyError, IndexError, ValueError) as error:
        raise AsyncVLAError(f"{info.root}: video_path is {info.video_path!r} ({error!r})") from error
    period_s, file = 1 / info.fps, file.reshape(-1)
    for number, path in enumerate(paths):
        needed = float(column["to_timestamp"][file == number].max())
        if needed > (length := _measure(path)[1]) + _SHORT * period_s:
            raise AsyncVLAError(f"{path} ends after {length:.2f} s, but meta/episodes expects {needed:.2f} s")
    return Videos(
        tuple(paths),
        first.astype(np.int64),
        file,
        column["from_timestamp"].astype(np.float64),
        period_s=np.full(len(first), period_s),
    )


def _in_order(info: DatasetInfo, key: str, rows: int) -> Videos:
    """Make one stretch per video for datasets without that index; frames are in the order of the tables."""
    files = sorted((info.root / "videos" / key).glob("*/*.mp4"))
    if not files:
        raise AsyncVLAError(f"{info.root} has no videos/{key}/*/*.mp4, but meta/info.json says it is a video")
    counts, lengths, starts = (np.array(values) for values in zip(*map(_measure, files), strict=True))
    if counts.sum() != rows:
        raise AsyncVLAError(f"{info.root}: {key} has {counts.sum()} images, the tables have {rows} frames")
    first = np.cumsum([0, *counts[:-1]])
    return Videos(tuple(files), first, np.arange(len(files)), starts, period_s=lengths / counts)


def _measure(file: Path) -> tuple[int, float, float]:
    """Return a video's number of frames, length [s] and start [s]."""
    with decodable(file), av.open(str(file)) as container:
        stream = container.streams.video[0]
        tick, rate = stream.time_base, stream.average_rate
        frames = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
        if not frames or not tick or not rate:
            raise ValueError("it has no frames")
        length = stream.duration * tick if stream.duration else frames / rate
        start = (stream.start_time or 0) * tick
    return frames, float(length), float(start)
