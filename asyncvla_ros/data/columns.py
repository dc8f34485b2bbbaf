"""States, actions and tasks of a dataset as memory-mapped arrays, from one pass over its tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncvla_ros.data.broken import BrokenFrames
from asyncvla_ros.data.cache import cache_key, cached_folder
from asyncvla_ros.data.dataset import DatasetInfo
from asyncvla_ros.data.rows import blocks
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.statistics import Moments, Summary, summarize
from asyncvla_ros.data.tables import EpisodeTable, data_files, read_episodes, read_tasks
from asyncvla_ros.types import AsyncVLAError

if TYPE_CHECKING:
    from typing_extensions import Self

# Version of the written files.
_FORMAT = 2
VECTORS = ("state", "action", "privileged", "executed")


@dataclass(frozen=True)
class Columns:
    """The n used frames of one dataset, mapped from files.

    Attributes:
        state: (n, s) float32, physical units.
        action: (n, d) float32, physical units.
        privileged: (n, k) float32 simulator quantities, or None.
        executed: (n, d) float32 action that was executed instead, or None.
        episode: (n,) int64 episode number.
        last: (n,) int64 index of the last frame of the same episode.
        task: (n,) int64 index into ``texts``.
        row: (n,) int64 row of each frame in the tables of the dataset.
        texts: The instructions.
        rows: Number of frames in the tables, used or not.
        digest: Digest of states and actions.
        summaries: Statistics of state, action and privileged.
    """

    state: np.ndarray
    action: np.ndarray
    privileged: np.ndarray | None
    executed: np.ndarray | None
    episode: np.ndarray
    last: np.ndarray
    task: np.ndarray
    row: np.ndarray
    texts: tuple[str, ...]
    rows: int
    digest: str
    summaries: dict[str, Summary]

    def __len__(self) -> int:
        return len(self.episode)

    @property
    def episodes(self) -> int:
        """One more than the highest episode number."""
        return int(self.episode[-1]) + 1


def load_columns(info: DatasetInfo, spec: DatasetSpec, cache: Path, *, skip_broken: bool) -> Columns:
    """Load the columns of a dataset, which are written on first use.

    Args:
        info: Metadata of the dataset.
        spec: Its keys and episodes.
        cache: Folder for data derived from datasets.
        skip_broken: Whether to leave out episodes with states or actions that are not numbers.

    Raises:
        AsyncVLAError: If its tables are unreadable or disagree, it has broken episodes, or it lacks
        selected ones.
    """
    meta = info.root / "meta"
    keys = (spec.select_state_keys, spec.select_action_keys, spec.episodes, spec.invert_gripper, skip_broken)
    files = [file for file in (meta / "info.json", meta / "tasks.parquet") if file.is_file()]
    name = f"columns-{cache_key(_FORMAT, keys, files=[*files, *data_files(info.root)])}"
    folder = cached_folder(cache / name, lambda folder: _write(info, spec, folder, skip_broken=skip_broken))
    written = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
    return Columns(
        **{name: _mapped(folder / f"{name}.npy") for name in (*VECTORS, "episode", "last", "task", "row")},
        texts=tuple(written["texts"]),
        rows=written["rows"],
        digest=written["digest"],
        summaries={key: Summary.from_dict(values) for key, values in written["summaries"].items()},
    )


def _mapped(file: Path) -> Any:
    return np.load(file, mmap_mode="r") if file.is_file() else None


def _write(info: DatasetInfo, spec: DatasetSpec, folder: Path, *, skip_broken: bool) -> None:
    """Write columns and moments in one pass, then quantiles and digest from the finished files."""
    tasks = read_tasks(info.root)
    broken = BrokenFrames(info, spec)
    texts: dict[str, int] = {}
    moments: dict[str, Moments] = {}
    rows, selected = 0, None if spec.episodes is None else set(spec.episodes)
    with _Writer(folder) as writer:
        for episode in _all_episodes(info, spec):
            rows = episode.first + len(episode)
            if (selected is not None and episode.number not in selected) or broken.add(episode):
                continue
            numbers, task = np.unique(episode.task, return_inverse=True)
            known = [texts.setdefault(tasks[number], len(texts)) for number in numbers.tolist()]
            writer.add(episode, np.array(known, np.int64)[task])
            for key in VECTORS:
                values = getattr(episode, key)
                if values is not None:
                    new = Moments.of(values)
                    moments[key] = moments[key].merged(new) if key in moments else new
    broken.require_none(skip_broken=skip_broken)
    arrays = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in moments}
    values = {
        "texts": list(texts),
        "rows": rows,
        "digest": _digest(arrays["state"], arrays["action"]),
        "summaries": {key: summarize(moments[key], [arrays[key]]).to_dict() for key in moments},
    }
    (folder / "columns.json").write_text(json.dumps(values), encoding="utf-8")


def _all_episodes(info: DatasetInfo, spec: DatasetSpec) -> Iterator[EpisodeTable]:
    """Yield the episodes of a dataset; raise AsyncVLAError at the end if a selected one is missing."""
    wanted = set(spec.episodes or ())
    last = -1
    for episode in read_episodes(info, spec):
        wanted.discard(episode.number)
        last = episode.number
        yield episode
    if wanted:
        raise AsyncVLAError(f"{info.root} has no episode {min(wanted)}; its last one is {last}")


def _digest(state: np.ndarray, action: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in (state, action):
        for _, block in blocks(array):
            digest.update(block.tobytes())
    return digest.hexdigest()[:16]


class _Writer:
    """Append episodes to ``.npy`` files, whose length is unknown before the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Any] = {}
        self._headers: dict[str, dict[str, Any]] = {}
        self._frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, file in self._files.items():
            with file:
                header = self._headers[name]
                file.seek(0)
                np.lib.format.write_array_header_1_0(
                    file, header | {"shape": (self._frames, *header["shape"][1:])}
                )

    def add(self, episode: EpisodeTable, task: np.ndarray) -> None:
        """Append an episode whose frames have the tasks (n,)."""
        count = len(episode)
        for key in VECTORS:
            values = getattr(episode, key)
            if values is not None:
                self._append(key, values)
        self._append("episode", np.full(count, episode.number, np.int64))
        self._append("last", np.full(count, self._frames + count - 1, np.int64))
        self._append("task", task)
        self._append("row", episode.first + np.arange(count, dtype=np.int64))
        self._frames += count

    def _append(self, name: str, values: np.ndarray) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.npy").open("wb")
            self._headers[name] = np.lib.format.header_data_from_array_1_0(values)
            # The header's length does not depend on the number of rows, for which numpy leaves room.
            np.lib.format.write_array_header_1_0(self._files[name], self._headers[name])
        values.tofile(self._files[name])
