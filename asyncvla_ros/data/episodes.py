"""LeRobot v3 datasets as arrays: decoded once, resized as the policy will resize, cached on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.progress import track

from asyncvla_ros.common.data_record import DataRecord, held_out
from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.data.dataset import (
    ACTION_KEY,
    STATE_KEY,
    DatasetInfo,
    dataset_info,
    dataset_roots,
    dim_names,
)
from asyncvla_ros.data.encoded_image import decode
from asyncvla_ros.data.tables import Table, data_files, encoded_images, read_table
from asyncvla_ros.model.images import resize_image
from asyncvla_ros.types import AsyncVLAError

#: 0.33 is a third.
_HOLDOUT_TOLERANCE = 0.05
#: Names and episodes that an error lists.
LISTED = 5


class Frames:
    """Images of several memory-mapped arrays, (n, cameras, size, size, 3) uint8, read as one.

    Args:
        parts: The arrays.
        kept: Of each array the frames (n,) bool that count; None: all of them.
    """

    def __init__(self, parts: Sequence[np.ndarray], kept: Sequence[np.ndarray] | None = None) -> None:
        self._parts = parts
        every = [np.ones(len(part), bool) for part in parts] if kept is None else kept
        self._rows = [np.flatnonzero(rows) for rows in every]
        self._starts = np.cumsum([0, *map(len, self._rows)])

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each array that count."""
        return tuple(map(len, self._rows))

    def take(self, frames: np.ndarray) -> np.ndarray:
        """Images at some frames, (b,) -> (b, cameras, size, size, 3)."""
        out = np.empty((len(frames), *self._parts[0].shape[1:]), np.uint8)
        part = np.searchsorted(self._starts, frames, side="right") - 1
        for row, (p, frame) in enumerate(zip(part, frames, strict=True)):
            out[row] = self._parts[p][self._rows[p][frame - self._starts[p]]]
        return out


@dataclass(frozen=True)
class Episodes:
    """Demonstrations, frame by frame; n frames in all.

    Attributes:
        images: One image per frame and camera.
        state: (n, s) float32, physical units.
        actions: (n, d) float32, physical units.
        privileged: (n, k) float32 simulator quantities for auxiliary losses, or None.
        episode: (n,) running episode number over all datasets.
        last: (n,) index of the last frame of the same episode.
        instruction: (n,) index into ``instructions``.
        instructions: Distinct task descriptions.
        datasets: Digest of the states and actions of each dataset, and its episodes.
    """

    images: Frames
    state: np.ndarray
    actions: np.ndarray
    privileged: np.ndarray | None
    episode: np.ndarray
    last: np.ndarray
    instruction: np.ndarray
    instructions: tuple[str, ...]
    datasets: tuple[tuple[str, int], ...] = ()

    def record(self, folders: Sequence[Path], holdout: float) -> DataRecord:
        """What these episodes, read from ``folders``, are for later steps."""
        names = tuple(folder.resolve().name for folder in folders)
        return DataRecord(names, int(self.episode.max()) + 1, self.images.lengths, holdout, self.datasets)

    def split(self, holdout: float) -> tuple[np.ndarray, np.ndarray]:
        """Frame indices of training and of held-out episodes; every k-th episode is held out.

        Raises:
            AsyncVLAError: If the share is none of 0, 1/2, 1/3, ..., or so small that nothing is held out.
        """
        every = round(1 / holdout) if 0 < holdout <= 0.5 else 0
        if holdout and (every == 0 or abs(every * holdout - 1) > _HOLDOUT_TOLERANCE):
            raise AsyncVLAError(
                f"holdout is {holdout}, expected 0, or one episode in 2, 3, 4, ...: 0.5, 0.33, 0.25, ..."
            )
        total = int(self.episode.max()) + 1
        if every > total:
            raise AsyncVLAError(
                f"holdout {holdout} holds out none of {total} episodes; collect more, or choose 0 or more"
            )
        held = (self.episode % every == every - 1) if every else np.zeros(len(self.episode), bool)
        return np.flatnonzero(~held), np.flatnonzero(held)

    def unseen(self, folders: Sequence[Path], trained_on: DataRecord | None, fresh: bool) -> np.ndarray:
        """Frames (b,) that a policy has not seen: of the episodes that were held out from it.

        Args:
            folders: From which these episodes were read.
            trained_on: The data of the policy.
            fresh: These episodes did not train it: all frames.

        Raises:
            AsyncVLAError: If it is not known which they are, or these episodes are not fresh.
        """
        given = self.record(folders, 0)
        if not fresh:
            return self.split(held_out(trained_on, given))[1]
        if given.is_of(trained_on):
            raise AsyncVLAError(f"the policy was trained on {given}: they are not fresh; leave --fresh out")
        if given.shares(trained_on):
            raise AsyncVLAError(
                f"the policy was trained on {trained_on}; some of that is in the data given, {given}; give "
                "others, that are fresh"
            )
        return np.arange(len(self.episode))

    def measuring(self, frames: np.ndarray, share: float) -> np.ndarray:
        """(b,) bool, true at those of some frames (b,) that a rater does not learn from.

        They are of every k-th of the episodes that the frames belong to, counted instruction by instruction,
        so that each is represented wherever it has k episodes.
        """
        episodes, first, which = np.unique(self.episode[frames], return_index=True, return_inverse=True)
        place = np.empty(len(episodes), int)
        place[np.argsort(self.instruction[frames[first]], kind="stable")] = np.arange(len(episodes))
        every = max(2, round(1 / share))
        return np.asarray(place[which] % every == every - 1)

    def chunks(self, frames: np.ndarray, length: int) -> np.ndarray:
        """Actions of the next ``length`` steps, (b,) -> (b, l, d); the last one repeats past the end."""
        steps = np.minimum(frames[:, None] + np.arange(length), self.last[frames][:, None])
        return self.actions[steps]


def load_episodes(
    folders: Sequence[Path], image_size: int, cache: Path, skip_broken: bool = False
) -> Episodes:
    """Read every LeRobot v3 dataset at or under ``folders``.

    Args:
        folders: Datasets, or folders of datasets.
        image_size: Side to which images are resized [px].
        cache: Folder for decoded images, one file per dataset; safe to delete.
        skip_broken: Leaves out episodes with states or actions that are no numbers.

    Raises:
        AsyncVLAError: If a dataset is missing, its files cannot be read or disagree, or it has such episodes.
    """
    tables, images, kept = [], [], []
    for root in track(dataset_roots(*folders), description="Reading datasets", transient=True):
        info = dataset_info(root)
        table = read_table(info)
        whole = ~np.isin(table.episode, table.episode[~table.finite])
        if not whole.all() and not skip_broken:
            raise AsyncVLAError(f"{broken_text(info, table)}; leave these episodes out with --skip-broken")
        if not whole.any():
            raise AsyncVLAError(f"{root}: every episode has states or actions that are no numbers")
        images.append(_images(info, image_size, cache, len(table)))
        tables.append(table.take(whole))
        kept.append(whole)
    instructions = tuple(sorted({text for table in tables for text in table.task}))
    counts = [int(table.episode.max()) + 1 for table in tables]
    offsets = np.cumsum([0, *counts])
    episode = np.concatenate([t.episode + o for t, o in zip(tables, offsets[:-1], strict=True)])
    _, first, count = np.unique(episode, return_index=True, return_counts=True)
    privileged = [table.privileged for table in tables if table.privileged is not None]
    return Episodes(
        images=Frames(images, kept),
        state=np.concatenate([t.state for t in tables]),
        actions=np.concatenate([t.action for t in tables]),
        privileged=np.concatenate(privileged) if len(privileged) == len(tables) else None,
        episode=episode,
        last=np.repeat(first + count - 1, count),
        instruction=np.array([instructions.index(text) for t in tables for text in t.task]),
        instructions=instructions,
        datasets=tuple((t.digest, n) for t, n in zip(tables, counts, strict=True)),
    )


def broken_text(info: DatasetInfo, table: Table) -> str:
    """Which states and actions of a dataset are no numbers: the first of them, and in how many episodes."""
    frame = int(np.flatnonzero(~table.finite)[0])
    within = frame - int(np.flatnonzero(table.episode == table.episode[frame])[0])
    wrong = [
        f"{name} = {value}"
        for key, row in ((STATE_KEY, table.state[frame]), (ACTION_KEY, table.action[frame]))
        for name, value in zip(dim_names(info, key), row.tolist(), strict=True)
        if not np.isfinite(value)
    ]
    episodes = np.unique(table.episode[~table.finite])
    listed = ", ".join(map(str, episodes[:LISTED])) + (", ..." if len(episodes) > LISTED else "")
    total = len(np.unique(table.episode))
    return (
        f"{info.root}: {', '.join(wrong[:LISTED])} in frame {within} of episode {table.episode[frame]}; "
        f"{len(episodes)} of {total} episodes have such frames ({listed})"
    )


def _images(info: DatasetInfo, size: int, cache: Path, frames: int) -> np.ndarray:
    """(frames, cameras, size, size, 3) uint8 of one dataset, decoded on first use."""
    keys = info.cameras
    sources = [_video_files(info, key) if info.is_video(key) else data_files(info.root) for key in keys]
    stamp = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for files in sources for f in files]
    file = cache / f"{hashlib.sha256(repr((size, stamp)).encode()).hexdigest()[:20]}.npy"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        # Of this process, for others may be decoding the same; on disk, for it may be more than the memory.
        partial = file.with_suffix(f".{os.getpid()}.partial.npy")
        try:
            array = np.lib.format.open_memmap(partial, "w+", np.uint8, (frames, len(keys), size, size, 3))
            for camera, key in enumerate(keys):
                _fill(array[:, camera], pictures(info, key), f"{info.root}: {key}")
            array.flush()
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    return np.load(file, mmap_mode="r")


def count_images(info: DatasetInfo, key: str) -> int | None:
    """How many images a camera's videos say they have, without decoding them; None: they do not say.

    Raises:
        AsyncVLAError: a video is missing, or cannot be opened.
    """
    if not info.is_video(key):
        return None
    counts = []
    for file in _video_files(info, key):
        with _opened(file) as container:
            counts.append(container.streams.video[0].frames)
    return sum(counts) if all(counts) else None


def _fill(array: np.ndarray, pictures: Iterator[np.ndarray], where: str) -> None:
    """Resizes pictures into (frames, size, size, 3) uint8; there must be as many."""
    count = 0
    for count, picture in enumerate(pictures, start=1):
        if count <= len(array):
            array[count - 1] = resize_image(picture, array.shape[1])
    if count != len(array):
        raise AsyncVLAError(f"{where} has {count} images, the tables have {len(array)} frames")


def _video_files(info: DatasetInfo, key: str) -> list[Path]:
    files = sorted((info.root / "videos" / key).glob("*/*.mp4"))
    if not files:
        raise AsyncVLAError(f"{info.root} has no videos/{key}/*/*.mp4, but meta/info.json says it is a video")
    return files


def pictures(info: DatasetInfo, key: str) -> Iterator[np.ndarray]:
    """RGB pictures of a camera, frame by frame, each (h, w, 3) uint8."""
    if info.is_video(key):
        yield from video_pictures(_video_files(info, key))
        return
    for number, content in enumerate(encoded_images(info, key)):
        yield decode(content, f"{info.root}: frame {number} of {key}")


def video_pictures(files: Sequence[Path]) -> Iterator[np.ndarray]:
    """RGB pictures of videos, one after the other, each (h, w, 3) uint8."""
    for file in files:
        with _opened(file) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with av.open(str(file)) as container:
            yield container
    except (av.FFmpegError, IndexError, OSError) as error:
        raise AsyncVLAError(f"{file} cannot be decoded ({error}){lfs_remedy(file)}") from error
