"""Small LeRobot v3 datasets, written without LeRobot, as other tools write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FPS, SIZE = 30, 32
NAMES = ("j1", "j2")


def write_dataset(
    root: Path,
    lengths: Sequence[int] = (5, 4),
    tasks: Sequence[str] = ("lift", "place"),
    *,
    as_images: bool = False,
    task_column: bool = False,
    **features: Any,
) -> Path:
    """Episodes of these lengths, the tasks in turn; frame i has the state (i, -i) and a picture of gray i.

    Args:
        root: Folder of the dataset.
        lengths: Frames of each episode.
        tasks: What is asked for.
        as_images: The pictures are in the tables, rather than a video.
        task_column: The texts of tasks are a column, rather than the index.
        features: Added to ``meta/info.json``.
    """
    count = sum(lengths)
    write_info(root, "image" if as_images else "video", features)
    write_tasks(root, tasks, task_column=task_column)
    state = np.arange(count)[:, None] * np.array([1.0, -1.0])
    columns: dict[str, Any] = {
        "observation.state": state.tolist(),
        "action": (state + 0.5).tolist(),
        "episode_index": np.repeat(np.arange(len(lengths)), lengths),
        "task_index": np.repeat(np.arange(len(lengths)) % len(tasks), lengths),
    }
    pictures = [np.full((SIZE, SIZE, 3), 10 * frame, np.uint8) for frame in range(count)]
    if as_images:
        encoded = [cv2.imencode(".png", picture)[1].tobytes() for picture in pictures]
        columns["observation.images.top"] = [{"bytes": one, "path": None} for one in encoded]
    else:
        write_video(root / "videos" / "observation.images.top" / "chunk-000" / "file-000.mp4", pictures)
    write_columns(root, columns)
    return root


def write_info(root: Path, kind: str, features: dict[str, Any]) -> None:
    """``meta/info.json``, with pictures of this kind and more features."""
    vector = {"dtype": "float32", "shape": [2], "names": list(NAMES)}
    image = {"dtype": kind, "shape": [SIZE, SIZE, 3], "names": ["height", "width", "channels"]}
    every = {"observation.images.top": image, "observation.state": vector, "action": vector, **features}
    (root / "meta").mkdir(parents=True)
    info = {"codebase_version": "v3.0", "fps": FPS, "features": every}
    (root / "meta" / "info.json").write_text(json.dumps(info))


def data_file(root: Path) -> Path:
    return root / "data" / "chunk-000" / "file-000.parquet"


def write_columns(root: Path, columns: dict[str, Any]) -> None:
    """Write the table of a dataset."""
    data_file(root).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), data_file(root))


def change_columns(root: Path, **columns: Any) -> None:
    """Replace columns of the table; one that is None is left out."""
    table = pq.read_table(data_file(root)).to_pydict() | columns
    write_columns(root, {key: value for key, value in table.items() if value is not None})


def write_tasks(root: Path, tasks: Sequence[str], *, task_column: bool = False) -> None:
    """``meta/tasks.parquet``."""
    import pandas as pd

    index = None if task_column else pd.Index(tasks, name="task")
    table = pd.DataFrame({"task_index": range(len(tasks))}, index=index)
    if task_column:
        table["task"] = tasks
    table.to_parquet(root / "meta" / "tasks.parquet")


def write_episode_index(
    root: Path, lengths: Sequence[int], files: Sequence[int], starts: Sequence[int]
) -> None:
    """LeRobot's ``meta/episodes``: for each episode its video, and the frame with which it begins there."""
    ends, key = np.cumsum(lengths), "videos/observation.images.top"
    first = np.array(starts) / FPS
    columns = {
        "episode_index": np.arange(len(lengths)),
        "dataset_from_index": ends - lengths,
        "dataset_to_index": ends,
        f"{key}/chunk_index": np.zeros(len(lengths), int),
        f"{key}/file_index": np.array(files),
        f"{key}/from_timestamp": first,
        f"{key}/to_timestamp": first + np.array(lengths) / FPS,
    }
    folder = root / "meta" / "episodes" / "chunk-000"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "file-000.parquet")


def write_video(file: Path, pictures: Sequence[np.ndarray]) -> None:
    """Pictures (h, w, 3) RGB as a video, nearly without loss."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "1"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
