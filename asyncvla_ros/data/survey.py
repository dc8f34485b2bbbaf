"""Summary of a LeRobot dataset and its problems, for a person to read before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from asyncvla_ros.data.broken import BrokenFrames
from asyncvla_ros.data.contracts import action_names, camera_keys, spec_contract, state_names
from asyncvla_ros.data.dataset import IMAGE_PREFIX, DatasetInfo, dataset_info
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.tables import EpisodeTable, read_episodes, read_tasks
from asyncvla_ros.data.videos import find_videos
from asyncvla_ros.types import AsyncVLAError

# Most tasks to list.
LISTED = 10


@dataclass
class _Seen:
    """Results of one pass over the tables."""

    broken: BrokenFrames
    rows: int = 0
    lengths: list[int] = field(default_factory=list)
    first_tasks: Counter[str] = field(default_factory=Counter)
    ranges: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, episode: EpisodeTable, tasks: dict[int, str]) -> None:
        self.lengths.append(len(episode))
        self.first_tasks[tasks[int(episode.task[0])]] += 1
        self.broken.add(episode)
        for key, values in (("state", episode.state), ("action", episode.action)):
            finite = np.isfinite(values)
            low = np.where(finite, values, np.inf).min(axis=0)
            high = np.where(finite, values, -np.inf).max(axis=0)
            before = self.ranges.get(key, np.stack([low, high]))
            self.ranges[key] = np.stack([np.minimum(low, before[0]), np.maximum(high, before[1])])


def survey(spec: DatasetSpec, chunk_size: int = 0) -> tuple[list[str], list[str]]:
    """Survey a dataset in one pass over its tables; only the length of videos is checked.

    Args:
        spec: The dataset.
        chunk_size: Actions per chunk; shorter episodes are counted.

    Returns:
        Lines that describe it, and the problems that prevent training.

    Raises:
        AsyncVLAError: it is no readable LeRobot v3 dataset.
    """
    info = dataset_info(spec.root)
    tasks = read_tasks(info.root)
    seen = _Seen(BrokenFrames(info, spec))
    for episode in read_episodes(info, spec):
        seen.rows = episode.first + len(episode)
        if spec.episodes is None or episode.number in spec.episodes:
            seen.add(episode, tasks)
    if not seen.lengths:
        raise AsyncVLAError(f"{info.root} has none of the episodes {list(spec.episodes or ())}")
    lines = [*_frames(info, seen, chunk_size), *_tasks(seen.first_tasks), *_cameras(info, spec)]
    lines += _ranges("state", state_names(info, spec), seen.ranges["state"])
    lines += _ranges("action", action_names(info, spec), seen.ranges["action"])
    return lines, list(_problems(info, spec, seen))


def _frames(info: DatasetInfo, seen: _Seen, chunk_size: int) -> Iterator[str]:
    lengths = np.array(seen.lengths)
    frames = int(lengths.sum())
    lasts = f"{frames / info.fps:.0f} s"
    yield f"{info.root.name}: {len(lengths)} episodes, {frames} frames at {info.fps:g} Hz ({lasts})"
    short = int((lengths < chunk_size).sum())
    note = f"; {short} shorter than a chunk of {chunk_size}: their last action repeats" if short else ""
    yield f"  length     {lengths.min()} to {lengths.max()} frames, median {np.median(lengths):g}{note}"


def _tasks(counts: Counter[str]) -> Iterator[str]:
    for text, count in counts.most_common(LISTED):
        yield f"  task       {text!r}: {count} episodes"
    if len(counts) > LISTED:
        yield f"  task       and {len(counts) - LISTED} more"


def _cameras(info: DatasetInfo, spec: DatasetSpec) -> Iterator[str]:
    for key in spec.select_video_keys or info.cameras:
        if key in info.features:
            kind = "video" if info.is_video(key) else "images in the tables"
            yield f"  camera     {key.removeprefix(IMAGE_PREFIX)} {info.features[key]['shape']}, {kind}"
    for key in info.depth_cameras:
        yield f"  camera     {key.removeprefix(IMAGE_PREFIX)}: depth, left out"


def _ranges(label: str, names: tuple[str, ...], ranges: np.ndarray) -> Iterator[str]:
    for name, low, high in zip(names, *ranges, strict=True):
        if low > high:
            yield f"  {label:10} {name}: no number at all"
            continue
        note = "" if low < high else ", always the same"
        yield f"  {label:10} {name}: {low:.4g} to {high:.4g}{note}"


def _problems(info: DatasetInfo, spec: DatasetSpec, seen: _Seen) -> Iterator[str]:
    if text := seen.broken.text():
        yield f"{text}; train leaves these episodes out with --skip-broken"
    if any(not text.strip() for text in seen.first_tasks):
        yield f"{info.root}: some episodes have no task text"
    try:
        # The action space does not matter here.
        spec_contract(spec, "joint_position")
        keys = camera_keys(info, spec)
    except AsyncVLAError as error:
        yield str(error)
        return
    for key in keys:
        try:
            if info.is_video(key):
                find_videos(info, key, seen.rows)
        except AsyncVLAError as error:
            yield str(error)
