"""LeRobot v3 datasets on disk: their folders and ``meta/info.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.common.json_file import read_json
from asyncvla_ros.types import AsyncVLAError

STATE_KEY = "observation.state"
PRIVILEGED_KEY = "observation.privileged"
#: Key of the action that was executed instead: with noise, or of another policy.
EXECUTED_KEY = "action.executed"
#: Key of the style: which of several ways to do the task a demonstration shows.
STYLE_KEY = "style"
ACTION_KEY = "action"
IMAGE_PREFIX = "observation.images."
CONVERT = "python -m lerobot.scripts.convert_dataset_v21_to_v30"


@dataclass(frozen=True)
class DatasetInfo:
    """The needed part of ``meta/info.json``.

    Attributes:
        root: Folder of the dataset.
        fps: Frames per second.
        features: Shape, names and kind of data by key.
        robot_type: Kind of robot; empty if not given.
        video_path: Template of the paths of videos, if given.
    """

    root: Path
    fps: float
    features: Mapping[str, Mapping[str, Any]]
    robot_type: str = ""
    video_path: str = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"

    @property
    def cameras(self) -> list[str]:
        """Keys of the cameras that a policy can use, without depth cameras."""
        return [key for key in self.features if key.startswith(IMAGE_PREFIX) and not self.is_depth(key)]

    @property
    def depth_cameras(self) -> list[str]:
        """Keys of the depth cameras."""
        return [key for key in self.features if key.startswith(IMAGE_PREFIX) and self.is_depth(key)]

    def is_depth(self, key: str) -> bool:
        """Return whether a camera measures depth, which LeRobot states in one of three places."""
        feature = self.features[key]
        said = [feature.get("info") or {}, feature.get("video_info") or {}]
        return any(one.get(name) for one in said for name in ("is_depth_map", "video.is_depth_map"))

    def is_video(self, key: str) -> bool:
        """Return whether the images of a camera are a video, rather than cells of the tables."""
        return self.features[key].get("dtype", "video") == "video"

    def size(self, key: str) -> int:
        """Return the number of dims of a vector."""
        return int(self.features[key]["shape"][0])


def dataset_roots(*folders: Path) -> list[Path]:
    """Find LeRobot datasets at or directly under folders, sorted by name within each.

    Raises:
        AsyncVLAError: If a folder has none.
    """
    return [root for folder in folders for root in _roots(folder)]


def _roots(folder: Path) -> list[Path]:
    if is_dataset(folder):
        return [folder]
    roots = sorted(path.parent.parent for path in folder.glob("*/meta/info.json"))
    roots = [root for root in roots if not root.name.startswith(".")]
    if not roots:
        raise AsyncVLAError(
            f"no LeRobot dataset in {folder}, expected meta/info.json there or in its sub-folders, or a "
            "data.yaml"
        )
    return roots


def is_dataset(folder: Path) -> bool:
    """Return whether a folder is a LeRobot dataset."""
    return (folder / "meta" / "info.json").is_file()


def dataset_info(root: Path) -> DatasetInfo:
    """Read ``meta/info.json`` of a dataset.

    Raises:
        AsyncVLAError: If it is unreadable, has another version, or lacks a needed value.
    """
    file = root / "meta" / "info.json"
    info = read_json(file)
    version = str(info.get("codebase_version"))
    if not version.startswith("v3"):
        raise AsyncVLAError(
            f"{root} is a LeRobot dataset of version {version}, expected v3; {_conversion(root, version)}"
        )
    fps, features = info.get("fps"), info.get("features")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1e6:
        raise AsyncVLAError(f"{file}: fps is {fps!r}, expected frames per second")
    if not isinstance(features, dict):
        raise AsyncVLAError(f"{file}: features is {features!r}, expected an object")
    for key, feature in features.items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        if not (isinstance(shape, list) and shape and all(isinstance(n, int) and n > 0 for n in shape)):
            raise AsyncVLAError(f"{file}: feature {key} has the shape {shape!r}, expected sizes above 0")
    given = {key: info[key] for key in ("robot_type", "video_path") if isinstance(info.get(key), str)}
    return DatasetInfo(root, float(fps), features, **given)


def _conversion(root: Path, version: str) -> str:
    convert = (
        f"`{CONVERT} --repo-id=local/{root.name} --root={root} --push-to-hub=false` converts it in place "
        "(without the last option it also pushes to the hub)"
    )
    if version.startswith("v2.1"):
        return convert
    if version.startswith("v2"):
        return f"first convert it to v2.1 with a LeRobot that wrote that (0.3), then {convert}"
    return f"of v2.1, {convert}"
