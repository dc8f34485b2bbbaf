"""LeRobot v3 datasets on disk: where they are, their keys, and what they expect of a robot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.robot.contract import ACTION_SPACES
from asyncvla_ros.types import AsyncVLAError, CameraFeature, ContractError, FeatureContract

STATE_KEY = "observation.state"
PRIVILEGED_KEY = "observation.privileged"
ACTION_KEY = "action"
IMAGE_PREFIX = "observation.images."
CONVERT = "python -m lerobot.scripts.convert_dataset_v21_to_v30"


@dataclass(frozen=True)
class DatasetInfo:
    """``meta/info.json``, as far as it is needed.

    Attributes:
        root: Folder of the dataset.
        fps: Frames per second.
        features: Key to shape, names and kind of data.
    """

    root: Path
    fps: float
    features: Mapping[str, Mapping[str, Any]]

    @property
    def cameras(self) -> list[str]:
        """Keys of the cameras a policy can look through; depth cameras are left out."""
        return [key for key in self.features if key.startswith(IMAGE_PREFIX) and not self.is_depth(key)]

    @property
    def depth_cameras(self) -> list[str]:
        """Keys of the depth cameras."""
        return [key for key in self.features if key.startswith(IMAGE_PREFIX) and self.is_depth(key)]

    def is_depth(self, key: str) -> bool:
        """Whether a camera measures distances: LeRobot says so in one of three places."""
        feature = self.features[key]
        said = [feature.get("info") or {}, feature.get("video_info") or {}]
        return any(one.get(name) for one in said for name in ("is_depth_map", "video.is_depth_map"))

    def is_video(self, key: str) -> bool:
        """Whether the images of a camera are a video, rather than cells of the tables."""
        return self.features[key].get("dtype", "video") == "video"

    def size(self, key: str) -> int:
        """Dims of a vector."""
        return int(self.features[key]["shape"][0])


def dataset_roots(*folders: Path) -> list[Path]:
    """LeRobot datasets at or directly under folders, those of each sorted by name.

    Raises:
        AsyncVLAError: If there is none in one of them.
    """
    return [root for folder in folders for root in _roots(folder)]


def _roots(folder: Path) -> list[Path]:
    if (folder / "meta" / "info.json").is_file():
        return [folder]
    roots = sorted(path.parent.parent for path in folder.glob("*/meta/info.json"))
    roots = [root for root in roots if not root.name.startswith(".")]
    if not roots:
        raise AsyncVLAError(
            f"no LeRobot dataset in {folder}, expected meta/info.json there or in its sub-folders"
        )
    return roots


def dataset_info(root: Path) -> DatasetInfo:
    """``meta/info.json`` of a dataset.

    Raises:
        AsyncVLAError: If it cannot be read, is of another version, or lacks what is needed.
    """
    file = root / "meta" / "info.json"
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AsyncVLAError(f"{file} is no JSON ({error}){lfs_remedy(file)}") from error
    if not isinstance(info, dict):
        raise AsyncVLAError(f"{file} holds a {type(info).__name__}, expected an object")
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
    return DatasetInfo(root, float(fps), features)


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


def feature_contract(folders: Sequence[Path], action_space: str) -> FeatureContract:
    """What a policy trained on these datasets expects of a robot.

    Raises:
        AsyncVLAError: If the datasets differ in cameras, names or rate, or one is of another format.
    """
    if action_space not in ACTION_SPACES:
        raise AsyncVLAError(f"action_space is {action_space!r}, choose one of {ACTION_SPACES}")
    contracts = {}
    for root in dataset_roots(*folders):
        info = dataset_info(root)
        contracts[root] = FeatureContract(
            cameras=tuple(
                CameraFeature(key.removeprefix(IMAGE_PREFIX), *_image_size(info, key)) for key in info.cameras
            ),
            state_names=dim_names(info, STATE_KEY),
            action_names=dim_names(info, ACTION_KEY),
            action_space=action_space,
            control_hz=info.fps,
        )
        if not contracts[root].cameras:
            raise AsyncVLAError(
                f"{root} has no camera with colours, expected {IMAGE_PREFIX}* among its features "
                f"{sorted(info.features)}"
            )
    first, *others = contracts.items()
    for root, contract in others:
        if contract != first[1]:
            raise AsyncVLAError(f"datasets differ: {first[0]} has {first[1]}, but {root} has {contract}")
    return first[1]


def require_contract(folders: Sequence[Path], features: FeatureContract) -> None:
    """Raise ContractError unless the datasets offer what a policy expects."""
    offered = feature_contract(folders, features.action_space)
    if offered != features:
        raise ContractError(f"the data offers {offered}, but the policy expects {features}")


def _image_size(info: DatasetInfo, key: str) -> tuple[int, int]:
    """Height and width [px]; LeRobot allows the three channels first or last."""
    shape = info.features[key]["shape"]
    if len(shape) == 3 and shape[2] == 3:
        return shape[0], shape[1]
    if len(shape) == 3 and shape[0] == 3:
        return shape[1], shape[2]
    raise AsyncVLAError(
        f"{info.root} gives {key} the shape {list(shape)}, expected height, width and 3 channels"
    )


def dim_names(info: DatasetInfo, key: str) -> tuple[str, ...]:
    """One name per dim of a vector.

    LeRobot also writes ``{"motors": [...]}``, ``{"delta_x": 0, ...}`` and ``[[...]]``; where it names the
    vector only, or nothing, the dims are numbered.

    Raises:
        AsyncVLAError: there is no such feature, or names do not fit its size.
    """
    if key not in info.features:
        raise AsyncVLAError(
            f"{info.root} has no {key}, expected it among its features {sorted(info.features)}; rename them: "
            f"LeRobot's own names are {STATE_KEY}, {ACTION_KEY} and {IMAGE_PREFIX}NAME"
        )
    names, size = info.features[key].get("names"), info.size(key)
    if isinstance(names, Mapping):
        is_numbered = all(isinstance(value, int) for value in names.values())
        names = sorted(names, key=names.__getitem__) if is_numbered else list(names.values())
    if names and isinstance(names, list) and all(isinstance(part, list) for part in names):
        names = [name for part in names for name in part]
    if not names or (len(names) == 1 != size):
        label = key.removeprefix("observation.")
        return tuple(f"{label}_{place}" for place in range(size))
    if not isinstance(names, list) or len(names) != size or len({str(name) for name in names}) != size:
        raise AsyncVLAError(f"{info.root} names the dims of {key} {names}, expected {size} names, each once")
    return tuple(map(str, names))
