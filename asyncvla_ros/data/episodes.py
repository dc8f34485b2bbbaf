"""LeRobot v3 datasets as arrays: decoded once, resized as the policy will resize, cached on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
from rich.progress import track

from asyncvla_ros.common.data_record import DataRecord, held_out
from asyncvla_ros.data.dataset import (
    ACTION_KEY,
    IMAGE_PREFIX,
    PRIVILEGED_KEY,
    STATE_KEY,
    dataset_info,
    dataset_roots,
)
from asyncvla_ros.model.images import resize_image
from asyncvla_ros.types import AsyncVLAError

#: 0.33 is a third.
_HOLDOUT_TOLERANCE = 0.05


class Frames:
    """Images of several memory-mapped arrays, (n, cameras, size, size, 3) uint8, read as one."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    @property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each array."""
        return tuple(map(len, self._parts))

    def take(self, frames: np.ndarray) -> np.ndarray:
        """Images at some frames, (b,) -> (b, cameras, size, size, 3)."""
        out = np.empty((len(frames), *self._parts[0].shape[1:]), np.uint8)
        part = np.searchsorted(self._starts, frames, side="right") - 1
        for row, (p, frame) in enumerate(zip(part, frames, strict=True)):
            out[row] = self._parts[p][frame - self._starts[p]]
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


def load_episodes(folders: Sequence[Path], image_size: int, cache: Path) -> Episodes:
    """Read every LeRobot v3 dataset at or under ``folders``.

    Args:
        folders: Datasets, or folders of datasets.
        image_size: Side to which images are resized [px].
        cache: Folder for decoded images, one file per dataset; safe to delete.

    Raises:
        AsyncVLAError: If a dataset is missing, or its videos and tables disagree.
    """
    roots = dataset_roots(*folders)
    tables, images = [], []
    for root in track(roots, description="Reading datasets", transient=True):
        cameras = [key for key in dataset_info(root)["features"] if key.startswith(IMAGE_PREFIX)]
        tables.append(_table(root))
        images.append(_images(root, cameras, image_size, cache, len(tables[-1]["state"])))
    instructions = tuple(sorted({text for table in tables for text in table["task"]}))
    counts = [int(table["episode"].max()) + 1 for table in tables]
    offsets = np.cumsum([0, *counts])
    episode = np.concatenate([t["episode"] + o for t, o in zip(tables, offsets[:-1], strict=True)])
    _, first, count = np.unique(episode, return_index=True, return_counts=True)
    privileged = [table["privileged"] for table in tables]
    return Episodes(
        images=Frames(images),
        state=np.concatenate([t["state"] for t in tables]),
        actions=np.concatenate([t["action"] for t in tables]),
        privileged=None if any(p is None for p in privileged) else np.concatenate(privileged),
        episode=episode,
        last=np.repeat(first + count - 1, count),
        instruction=np.array([instructions.index(text) for t in tables for text in t["task"]]),
        instructions=instructions,
        datasets=tuple((_digest(t), n) for t, n in zip(tables, counts, strict=True)),
    )


def _digest(table: Mapping[str, Any]) -> str:
    return hashlib.sha256(table["state"].tobytes() + table["action"].tobytes()).hexdigest()[:16]


def _table(root: Path) -> dict[str, Any]:
    """Columns of one dataset, in frame order; None for one it lacks."""
    files = sorted((root / "data").glob("*/*.parquet"))
    tasks = pq.read_table(root / "meta" / "tasks.parquet").to_pandas()
    names = {int(index): str(text) for text, index in tasks["task_index"].items()}
    columns: dict[str, list[np.ndarray]] = {
        "state": [],
        "action": [],
        "privileged": [],
        "episode": [],
        "task": [],
    }
    for file in files:
        table = pq.read_table(file)
        for name, key in (("state", STATE_KEY), ("action", ACTION_KEY), ("privileged", PRIVILEGED_KEY)):
            if key in table.column_names:
                columns[name].append(np.array(table[key].to_pylist(), np.float32))
        columns["episode"].append(table["episode_index"].to_numpy())
        columns["task"].append(np.array([names[i] for i in table["task_index"].to_pylist()], object))
    if not columns["state"]:
        raise AsyncVLAError(f"{root} has no data/*/*.parquet; is it a LeRobot v3 dataset?")
    return {name: np.concatenate(parts) if parts else None for name, parts in columns.items()}


def _images(root: Path, keys: Sequence[str], size: int, cache: Path, frames: int) -> np.ndarray:
    """(frames, cameras, size, size, 3) uint8 of one dataset, decoded on first use."""
    videos = [sorted((root / "videos" / key).glob("*/*.mp4")) for key in keys]
    stamp = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for files in videos for f in files]
    file = cache / f"{hashlib.sha256(repr((size, stamp)).encode()).hexdigest()[:20]}.npy"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        # Of this process, for others may be decoding the same; on disk, for it may be more than the memory.
        partial = file.with_suffix(f".{os.getpid()}.partial.npy")
        array = np.lib.format.open_memmap(partial, "w+", np.uint8, (frames, len(keys), size, size, 3))
        for camera, files in enumerate(videos):
            count = 0
            for count, image in enumerate(_decode(files), start=1):
                if count <= frames:
                    array[count - 1, camera] = resize_image(image, size)
            if count != frames:
                partial.unlink()
                raise AsyncVLAError(
                    f"{root}: {keys[camera]} has {count} video frames, the tables have {frames}"
                )
        array.flush()
        partial.replace(file)
    return np.load(file, mmap_mode="r")


def _decode(files: Sequence[Path]) -> Iterator[np.ndarray]:
    """RGB frames of consecutive video files."""
    for file in files:
        with av.open(str(file)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
