"""Reading the tables of a LeRobot v3 dataset, one episode in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.data.dataset import ACTION_KEY, EXECUTED_KEY, PRIVILEGED_KEY, DatasetInfo
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.types import AsyncVLAError

EPISODE_KEY, TASK_KEY = "episode_index", "task_index"
# Rows to read at once.
ROWS_AT_ONCE = 8192
# Rows at once of a table with images, which does not fit into memory.
IMAGES_AT_ONCE = 64
# Middle of a gripper's 0 and 1.
_GRIPPER_TOLERANCE = 1e-3


@dataclass(frozen=True)
class EpisodeTable:
    """Successive frames of one episode, n of them.

    Attributes:
        number: Number of the episode.
        first: Row of its first frame, counted over all tables of the dataset.
        state: (n, s) float32, physical units.
        action: (n, d) float32, physical units.
        privileged: (n, k) float32 simulator quantities, or None.
        executed: (n, d) float32 action that was executed instead, or None.
        task: (n,) int64 number of the task.
    """

    number: int
    first: int
    state: np.ndarray
    action: np.ndarray
    privileged: np.ndarray | None
    executed: np.ndarray | None
    task: np.ndarray

    def __len__(self) -> int:
        return len(self.task)

    @property
    def finite(self) -> np.ndarray:
        """(n,) bool, true for frames whose state and action are finite."""
        return np.isfinite(self.state).all(axis=1) & np.isfinite(self.action).all(axis=1)


def read_episodes(info: DatasetInfo, spec: DatasetSpec) -> Iterator[EpisodeTable]:
    """Yield the episodes of a dataset.

    Raises:
        AsyncVLAError: a file is missing, truncated or contradicts ``meta/info.json``; the message names it.
    """
    tasks = read_tasks(info.root)
    parts: list[EpisodeTable] = []
    last, first = -1, 0
    for file in data_files(info.root):
        for number, rows in _runs(_batches(info, spec, file, tasks)):
            part = EpisodeTable(number, first, **rows)
            first += len(part)
            if parts and parts[0].number != number:
                yield _joined(parts)
                parts = []
            if number < last or (number == last and not parts):
                raise AsyncVLAError(f"{file}: episode {number} comes after episode {last}, expected in order")
            parts.append(part)
            last = number
    if not parts:
        raise AsyncVLAError(f"{info.root} has no frames")
    yield _joined(parts)


def _joined(parts: Sequence[EpisodeTable]) -> EpisodeTable:
    if len(parts) == 1:
        return parts[0]
    privileged = [part.privileged for part in parts if part.privileged is not None]
    executed = [part.executed for part in parts if part.executed is not None]
    return EpisodeTable(
        parts[0].number,
        parts[0].first,
        np.concatenate([part.state for part in parts]),
        np.concatenate([part.action for part in parts]),
        privileged=np.concatenate(privileged) if privileged else None,
        executed=np.concatenate(executed) if executed else None,
        task=np.concatenate([part.task for part in parts]),
    )


def _runs(batches: Iterator[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield successive rows of one episode within a batch: its number, and their columns."""
    for batch in batches:
        episode = batch.pop("episode")
        bounds = [0, *(np.flatnonzero(np.diff(episode)) + 1), len(episode)]
        for begin, end in pairwise(bounds):
            if end > begin:
                rows = {k: None if v is None else v[begin:end] for k, v in batch.items()}
                yield int(episode[begin]), rows


def _batches(
    info: DatasetInfo, spec: DatasetSpec, file: Path, tasks: dict[int, str]
) -> Iterator[dict[str, Any]]:
    """Yield the columns of a file in batches of rows."""
    beside = [PRIVILEGED_KEY] * (PRIVILEGED_KEY in info.features)
    # The executed action belongs to the key ``action``; for other keys it is unknown.
    beside += [EXECUTED_KEY] * (EXECUTED_KEY in info.features and spec.select_action_keys == (ACTION_KEY,))
    vectors = (*spec.select_state_keys, *spec.select_action_keys, *beside)
    row = 0
    for table in read_batches(file, (*vectors, EPISODE_KEY, TASK_KEY), ROWS_AT_ONCE):
        missing = [key for key in (*vectors, EPISODE_KEY, TASK_KEY) if key not in table.schema.names]
        if missing:
            raise AsyncVLAError(f"{file} has no column {', '.join(missing)}, expected it in every file")
        values = {key: _vectors(table, key, file, info.size(key), row=row) for key in vectors}
        action = np.concatenate([values[key] for key in spec.select_action_keys], axis=1)
        executed = values.get(EXECUTED_KEY)
        if executed is not None and spec.invert_gripper:
            executed = _inverted(executed, file)
        task = _numbers(table, TASK_KEY, file)
        unknown = sorted(set(np.unique(task).tolist()) - set(tasks))
        if unknown:
            known = ", ".join(map(str, tasks)) or "none"
            raise AsyncVLAError(f"{file}: task {unknown[0]} is not in meta/tasks.parquet, which has {known}")
        yield {
            "state": np.concatenate([values[key] for key in spec.select_state_keys], axis=1),
            "action": _inverted(action, file) if spec.invert_gripper else action,
            "privileged": values.get(PRIVILEGED_KEY),
            "executed": executed,
            "task": task,
            "episode": _numbers(table, EPISODE_KEY, file),
        }
        row += len(table)


def _inverted(action: np.ndarray, file: Path) -> np.ndarray:
    """Map the last action dim from 1 (open) and 0 (closed) to -1 and +1."""
    gripper = action[:, -1]
    # Written so that NaN passes, which is reported elsewhere.
    if (gripper < -_GRIPPER_TOLERANCE).any() or (gripper > 1 + _GRIPPER_TOLERANCE).any():
        raise AsyncVLAError(
            f"{file}: invert_gripper expects a last action dim of 0 (closed) to 1 (open), found "
            f"{np.nanmin(gripper):g} to {np.nanmax(gripper):g}"
        )
    return np.concatenate([action[:, :-1], 1 - 2 * gripper[:, None]], axis=1)


def data_files(root: Path) -> list[Path]:
    """Return the files of the tables, in order of frames; AsyncVLAError if there is none."""
    files = sorted((root / "data").glob("*/*.parquet"))
    if not files:
        raise AsyncVLAError(f"{root} has no data/*/*.parquet; is it a LeRobot v3 dataset?")
    return files


def count_rows(root: Path) -> int:
    """Count the frames of a dataset from file metadata; AsyncVLAError if a file is missing or truncated."""
    total = 0
    for file in data_files(root):
        with _readable(file):
            total += pq.read_metadata(file).num_rows
    return total


def read_parquet(file: Path, columns: Sequence[str] = ()) -> pa.Table:
    """Read existing ``columns`` of a parquet file; AsyncVLAError if it is missing or truncated."""
    with _readable(file):
        parquet = pq.ParquetFile(file)
        wanted = [name for name in columns if name in parquet.schema_arrow.names]
        return parquet.read(wanted if columns else None)


def read_batches(file: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield existing ``columns`` of a parquet file in batches of rows; AsyncVLAError as above."""
    with _readable(file), pq.ParquetFile(file) as parquet:
        wanted = [name for name in columns if name in parquet.schema_arrow.names]
        yield from parquet.iter_batches(rows, columns=wanted)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise AsyncVLAError(f"{file} cannot be read ({reason}){lfs_remedy(file)}") from error


def encoded_images(info: DatasetInfo, key: str) -> Iterator[bytes]:
    """Yield the encoded images that the tables contain, frame by frame."""
    for file in data_files(info.root):
        for batch in read_batches(file, [key], IMAGES_AT_ONCE):
            for cell in batch.to_pydict().get(key, []):
                yield _encoded(info.root, cell, f"{file}: a frame of {key}")


def _encoded(root: Path, cell: Any, where: str) -> bytes:
    """Return the bytes of an image, or of the file that it names."""
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if not content and path and (root / path).is_file():
        content = (root / path).read_bytes()
    if not isinstance(content, bytes) or not content:
        raise AsyncVLAError(f"{where} has no image")
    return content


def read_tasks(root: Path) -> dict[int, str]:
    """Return the text of each task; LeRobot stores it in the table's index, other tools in a column."""
    file = root / "meta" / "tasks.parquet"
    tasks = read_parquet(file).to_pandas()
    texts: Any = tasks["task"] if "task" in tasks.columns else tasks.index
    if "task_index" not in tasks.columns or not all(isinstance(text, str) for text in texts):
        raise AsyncVLAError(
            f"{file}: expected task_index, and the text of each task in the index or a column task; found "
            f"columns {list(tasks.columns)} and index {list(tasks.index)[:3]}"
        )
    return {int(index): text for index, text in zip(tasks["task_index"], texts, strict=True)}


def _vectors(batch: pa.RecordBatch, key: str, file: Path, size: int, row: int) -> np.ndarray:
    """Return a column as (n, size) float32, from ``row`` of the file; null becomes NaN."""
    column = _storage(batch[key])
    if _is_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), 1).to_numpy(zero_copy_only=False)
        values = pc.list_flatten(column)
    else:
        lengths, values = np.ones(len(column), np.int64), column
    wrong = np.flatnonzero(lengths != size)
    if len(wrong):
        raise AsyncVLAError(
            f"{file}: row {row + wrong[0]} of {key} has {lengths[wrong[0]]} numbers, meta/info.json says "
            f"{size}"
        )
    try:
        numbers = _storage(values).cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
        return numbers.reshape(len(column), size).astype(np.float32)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise AsyncVLAError(f"{file}: {key} is not numbers ({error})") from error


def _numbers(batch: pa.RecordBatch, key: str, file: Path) -> np.ndarray:
    """Return a column as (n,) int64."""
    column = _storage(batch[key])
    try:
        values = pc.list_flatten(column) if _is_list(column.type) else column
        if values.null_count or len(values) != len(column):
            raise ValueError(f"{len(column)} cells, but {len(values) - values.null_count} numbers")
        return values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise AsyncVLAError(f"{file}: {key} is not whole numbers ({error})") from error


def _storage(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
