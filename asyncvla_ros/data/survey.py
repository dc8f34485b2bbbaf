"""What a LeRobot dataset holds, for a person to read before training, and what speaks against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from asyncvla_ros.data.dataset import (
    ACTION_KEY,
    IMAGE_PREFIX,
    STATE_KEY,
    DatasetInfo,
    dataset_info,
    dim_names,
    feature_contract,
)
from asyncvla_ros.data.episodes import broken_text, count_images
from asyncvla_ros.data.tables import Table, read_table
from asyncvla_ros.types import AsyncVLAError

# Tasks that are listed.
LISTED = 10


def survey(root: Path, chunk_size: int = 0) -> tuple[list[str], list[str]]:
    """One pass over a dataset: tables whole, of videos their length.

    Args:
        root: Folder of the dataset.
        chunk_size: Actions of a chunk; shorter episodes are counted.

    Returns:
        Lines that describe it, and what must be mended or left out before it can be trained on.

    Raises:
        AsyncVLAError: it cannot be read as a LeRobot v3 dataset.
    """
    info = dataset_info(root)
    table = read_table(info)
    lines = [*_frames(info, table, chunk_size), *_tasks(table), *_cameras(info)]
    for key, values in ((STATE_KEY, table.state), (ACTION_KEY, table.action)):
        lines += _ranges(info, key, values)
    return lines, list(_problems(info, table))


def _frames(info: DatasetInfo, table: Table, chunk_size: int) -> Iterator[str]:
    _, lengths = np.unique(table.episode, return_counts=True)
    lasts = f"{len(table) / info.fps:.0f} s"
    yield f"{info.root.name}: {len(lengths)} episodes, {len(table)} frames at {info.fps:g} Hz ({lasts})"
    short = int((lengths < chunk_size).sum())
    note = f"; {short} shorter than a chunk of {chunk_size}: their last action repeats" if short else ""
    yield f"  length     {lengths.min()} to {lengths.max()} frames, median {np.median(lengths):g}{note}"


def _tasks(table: Table) -> Iterator[str]:
    first = np.unique(table.episode, return_index=True)[1]
    counts = Counter(table.task[first].tolist())
    for text, count in counts.most_common(LISTED):
        yield f"  task       {text!r}: {count} episodes"
    if len(counts) > LISTED:
        yield f"  task       and {len(counts) - LISTED} more"


def _cameras(info: DatasetInfo) -> Iterator[str]:
    for key in info.cameras:
        kind = "video" if info.is_video(key) else "images in the tables"
        yield f"  camera     {key.removeprefix(IMAGE_PREFIX)} {info.features[key]['shape']}, {kind}"
    for key in info.depth_cameras:
        yield f"  camera     {key.removeprefix(IMAGE_PREFIX)}: depth, left out"


def _ranges(info: DatasetInfo, key: str, values: np.ndarray) -> Iterator[str]:
    label = key.removeprefix("observation.")
    for name, column in zip(dim_names(info, key), values.T, strict=True):
        numbers = column[np.isfinite(column)]
        if not len(numbers):
            yield f"  {label:10} {name}: no number at all"
            continue
        low, high = numbers.min(), numbers.max()
        note = "" if low < high else ", always the same"
        yield f"  {label:10} {name}: {low:.4g} to {high:.4g}{note}"


def _problems(info: DatasetInfo, table: Table) -> Iterator[str]:
    if not table.finite.all():
        yield f"{broken_text(info, table)}; train leaves these episodes out with --skip-broken"
    blank = sorted({text for text in table.task.tolist() if not text.strip()})
    if blank:
        yield f"{info.root}: some episodes have no task text"
    try:
        # Which action space it is does not matter here.
        feature_contract([info.root], "joint_position")
    except AsyncVLAError as error:
        yield str(error)
    for key in info.cameras:
        try:
            count = count_images(info, key)
        except AsyncVLAError as error:
            yield str(error)
            continue
        if count is not None and count != len(table):
            yield f"{info.root}: {key} has {count} images, the tables have {len(table)} frames"
