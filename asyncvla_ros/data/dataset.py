"""LeRobot v3 datasets on disk: where they are, their keys, and what they expect of a robot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncvla_ros.robot.contract import ACTION_SPACES
from asyncvla_ros.types import AsyncVLAError, CameraFeature, ContractError, FeatureContract

STATE_KEY = "observation.state"
PRIVILEGED_KEY = "observation.privileged"
ACTION_KEY = "action"
IMAGE_PREFIX = "observation.images."


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


def dataset_info(root: Path) -> dict[str, Any]:
    """``meta/info.json`` of a dataset.

    Raises:
        AsyncVLAError: If it is of another version.
    """
    info: dict[str, Any] = json.loads((root / "meta" / "info.json").read_text())
    version = str(info.get("codebase_version"))
    if not version.startswith("v3"):
        raise AsyncVLAError(
            f"{root} is a LeRobot dataset of version {version}, expected v3; LeRobot's own script "
            "convert_dataset_v21_to_v30 converts one"
        )
    return info


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
        features = info["features"]
        contracts[root] = FeatureContract(
            cameras=tuple(
                CameraFeature(key.removeprefix(IMAGE_PREFIX), *_image_size(root, key, features[key]["shape"]))
                for key in features
                if key.startswith(IMAGE_PREFIX)
            ),
            state_names=_dim_names(root, features, STATE_KEY),
            action_names=_dim_names(root, features, ACTION_KEY),
            action_space=action_space,
            control_hz=float(info["fps"]),
        )
        if not contracts[root].cameras:
            raise AsyncVLAError(
                f"{root} has no camera, expected {IMAGE_PREFIX}* among its features {sorted(features)}"
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


def _image_size(root: Path, key: str, shape: Sequence[int]) -> tuple[int, int]:
    """Height and width [px]; LeRobot allows the three channels first or last."""
    if len(shape) == 3 and shape[2] == 3:
        return shape[0], shape[1]
    if len(shape) == 3 and shape[0] == 3:
        return shape[1], shape[2]
    raise AsyncVLAError(f"{root} gives {key} the shape {list(shape)}, expected height, width and 3 channels")


def _dim_names(root: Path, features: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """One name per dim; LeRobot also writes ``{"motors": [...]}`` and ``[[...]]``."""
    if key not in features:
        raise AsyncVLAError(f"{root} has no {key}, expected it among its features {sorted(features)}")
    names, (size, *_) = features[key].get("names"), features[key]["shape"]
    if isinstance(names, Mapping):
        names = list(names.values())
    if names and all(isinstance(part, list) for part in names):
        names = [name for part in names for name in part]
    if not names or len(names) != size:
        raise AsyncVLAError(f"{root} names the dims of {key} {names}, expected {size} names")
    return tuple(map(str, names))
