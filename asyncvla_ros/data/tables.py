"""The tables of a LeRobot v3 dataset: states, actions and tasks, frame by frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.data.dataset import ACTION_KEY, PRIVILEGED_KEY, STATE_KEY, DatasetInfo
from asyncvla_ros.types import AsyncVLAError

EPISODE_KEY, TASK_KEY = "episode_index", "task_index"
# A table with images in it does not fit into memory.
IMAGES_AT_ONCE = 64


@dataclass(frozen=True)
class Table:
    """All frames of one dataset, n in all.

    Attributes:
        state: (n, s) float32, physical units.
        action: (n, d) float32, physical units.
        privileged: (n, k) float32 simulator quantities, or None.
        episode: (n,) int64 episode number.
        task: (n,) the instruction of each frame.
    """

    state: np.ndarray
    action: np.ndarray
    privileged: np.ndarray | None
    episode: np.ndarray
    task: np.ndarray

    def __len__(self) -> int:
        return len(self.episode)

    @property
    def digest(self) -> str:
        """Tells whether another dataset has the same states and actions."""
        return hashlib.sha256(self.state.tobytes() + self.action.tobytes()).hexdigest()[:16]

    @property
    def finite(self) -> np.ndarray:
        """(n,) bool, the frames whose state and action are numbers."""
        return np.isfinite(self.state).all(axis=1) & np.isfinite(self.action).all(axis=1)

    def take(self, frames: np.ndarray) -> Table:
        """The frames (n,) bool that are true."""
        privileged = None if self.privileged is None else self.privileged[frames]
        return Table(
            self.state[frames], self.action[frames], privileged, self.episode[frames], self.task[frames]
        )


def read_table(info: DatasetInfo) -> Table:
    """The tables of a dataset.

    Raises:
        AsyncVLAError: a file is missing, cut or not as ``meta/info.json`` says; the message names it.
    """
    names = _tasks(info.root)
    parts = [_part(info, file, names) for file in data_files(info.root)]
    with_privileged = [part.privileged for part in parts if part.privileged is not None]
    if with_privileged and len(with_privileged) != len(parts):
        raise AsyncVLAError(f"{info.root}: some of its files have {PRIVILEGED_KEY}, others have not")
    table = Table(
        state=np.concatenate([part.state for part in parts]),
        action=np.concatenate([part.action for part in parts]),
        privileged=np.concatenate(with_privileged) if with_privileged else None,
        episode=np.concatenate([part.episode for part in parts]),
        task=np.concatenate([part.task for part in parts]),
    )
    if not len(table):
        raise AsyncVLAError(f"{info.root} has no frames")
    return table


def _part(info: DatasetInfo, file: Path, names: Mapping[int, str]) -> Table:
    """The table of one file."""
    table = read_parquet(file, (STATE_KEY, ACTION_KEY, PRIVILEGED_KEY, EPISODE_KEY, TASK_KEY))
    missing = [key for key in (STATE_KEY, ACTION_KEY, EPISODE_KEY, TASK_KEY) if key not in table.column_names]
    if missing:
        raise AsyncVLAError(f"{file} has no column {', '.join(missing)}, which LeRobot v3 writes")
    has_privileged = PRIVILEGED_KEY in table.column_names and PRIVILEGED_KEY in info.features
    indices = _numbers(table, TASK_KEY, file).tolist()
    unknown = sorted(set(indices) - set(names))
    if unknown:
        known = ", ".join(map(str, names)) or "none"
        raise AsyncVLAError(f"{file}: task {unknown[0]} is not in meta/tasks.parquet, which has {known}")
    privileged = _vectors(table, PRIVILEGED_KEY, file, info.size(PRIVILEGED_KEY)) if has_privileged else None
    return Table(
        state=_vectors(table, STATE_KEY, file, info.size(STATE_KEY)),
        action=_vectors(table, ACTION_KEY, file, info.size(ACTION_KEY)),
        privileged=privileged,
        episode=_numbers(table, EPISODE_KEY, file),
        task=np.array([names[index] for index in indices], object),
    )


def data_files(root: Path) -> list[Path]:
    """The files of the tables, in order of frames; AsyncVLAError if there is none."""
    files = sorted((root / "data").glob("*/*.parquet"))
    if not files:
        raise AsyncVLAError(f"{root} has no data/*/*.parquet; is it a LeRobot v3 dataset?")
    return files


def read_parquet(file: Path, columns: Sequence[str] = ()) -> pa.Table:
    """A parquet file, of ``columns`` those that it has; AsyncVLAError if it is missing or cut."""
    with _readable(file):
        parquet = pq.ParquetFile(file)
        wanted = [name for name in columns if name in parquet.schema_arrow.names]
        return parquet.read(wanted if columns else None)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise AsyncVLAError(f"{file} cannot be read ({reason}){lfs_remedy(file)}") from error


def encoded_images(info: DatasetInfo, key: str) -> Iterator[bytes]:
    """The files of images that are kept in the tables themselves, frame by frame."""
    for file in data_files(info.root):
        with _readable(file):
            for batch in pq.ParquetFile(file).iter_batches(IMAGES_AT_ONCE, columns=[key]):
                for cell in batch.to_pydict().get(key, []):
                    yield _encoded(info.root, cell, f"{file}: a frame of {key}")


def _encoded(root: Path, cell: Any, where: str) -> bytes:
    """The bytes of an image, or of the file that it names."""
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if not content and path and (root / path).is_file():
        content = (root / path).read_bytes()
    if not isinstance(content, bytes) or not content:
        raise AsyncVLAError(f"{where} has no image")
    return content


def _tasks(root: Path) -> dict[int, str]:
    """Text of each task; LeRobot keeps it in the index of the table, other tools in a column."""
    file = root / "meta" / "tasks.parquet"
    tasks = read_parquet(file).to_pandas()
    texts: Any = tasks["task"] if "task" in tasks.columns else tasks.index
    if "task_index" not in tasks.columns or not all(isinstance(text, str) for text in texts):
        raise AsyncVLAError(
            f"{file}: expected task_index, and the text of each task in the index or a column task; found "
            f"columns {list(tasks.columns)} and index {list(tasks.index)[:3]}"
        )
    return {int(index): text for index, text in zip(tasks["task_index"], texts, strict=True)}


def _vectors(table: pa.Table, key: str, file: Path, size: int) -> np.ndarray:
    """(n, size) float32 of a column; what is null is not a number."""
    cells = table[key].to_pylist()
    rows = [cell if isinstance(cell, list) else [cell] for cell in cells]
    wrong = next((i for i, row in enumerate(rows) if len(row) != size), None)
    if wrong is not None:
        raise AsyncVLAError(
            f"{file}: row {wrong} of {key} has {len(rows[wrong])} numbers, meta/info.json says {size}"
        )
    try:
        return np.array(rows, np.float32).reshape(len(rows), size)
    except (TypeError, ValueError) as error:
        raise AsyncVLAError(f"{file}: {key} is not numbers ({error})") from error


def _numbers(table: pa.Table, key: str, file: Path) -> np.ndarray:
    """(n,) int64 of a column."""
    try:
        return np.array(table[key].to_pylist(), np.int64).reshape(-1)
    except (TypeError, ValueError, OverflowError) as error:
        raise AsyncVLAError(f"{file}: {key} is not whole numbers ({error})") from error
