"""Feature contracts of datasets: cameras, names of state and action, action space and rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncvla_ros.data.dataset import ACTION_KEY, IMAGE_PREFIX, STATE_KEY, DatasetInfo, dataset_info
from asyncvla_ros.data.spec import DatasetSpec, dataset_specs
from asyncvla_ros.robot.contract import ACTION_SPACES
from asyncvla_ros.types import AsyncVLAError, CameraFeature, ContractError, FeatureContract


def feature_contract(paths: Sequence[Path], action_space: str) -> FeatureContract:
    """Return the feature contract of a policy trained on datasets of one robot.

    Args:
        paths: As in ``dataset_specs``.
        action_space: Action space of datasets that do not name theirs.

    Raises:
        AsyncVLAError: If the datasets differ in cameras, names or rate, or one has another format.
    """
    contracts = {spec.root: spec_contract(spec, action_space) for spec in dataset_specs(paths)}
    first, *others = contracts.items()
    for root, contract in others:
        if contract != first[1] or contract.conventions != first[1].conventions:
            raise AsyncVLAError(f"datasets differ: {first[0]} has {first[1]}, but {root} has {contract}")
    return first[1]


def require_contract(paths: Sequence[Path], features: FeatureContract) -> None:
    """Raise ContractError unless the datasets match a policy's feature contract."""
    offered = feature_contract(paths, features.action_space)
    if offered != features:
        raise ContractError(f"the data offers {offered}, but the policy expects {features}")


def spec_contract(spec: DatasetSpec, action_space: str) -> FeatureContract:
    """Return the feature contract of a policy trained on one dataset.

    Args:
        spec: The dataset.
        action_space: Action space, unless the dataset names its own.

    Raises:
        AsyncVLAError: If the dataset has another format, or lacks a feature.
    """
    action_space = spec.action_space or action_space
    if action_space not in ACTION_SPACES:
        raise AsyncVLAError(f"action_space is {action_space!r}, choose one of {ACTION_SPACES}")
    info = dataset_info(spec.root)
    return FeatureContract(
        cameras=tuple(
            CameraFeature(key.removeprefix(IMAGE_PREFIX), *_image_size(info, key))
            for key in camera_keys(info, spec)
        ),
        state_names=state_names(info, spec),
        action_names=action_names(info, spec),
        action_space=action_space,
        action_hz=info.fps,
        conventions=dict(spec.conventions),
    )


def camera_keys(info: DatasetInfo, spec: DatasetSpec) -> list[str]:
    """Return the keys of a dataset's cameras, in the policy's order.

    Raises:
        AsyncVLAError: If there is none, or a selected camera is missing or measures depth.
    """
    for key in spec.select_video_keys or ():
        if key not in info.features or info.is_depth(key):
            raise AsyncVLAError(f"{info.root} has no camera {key}, choose from {_color_keys(info)}")
    keys = list(spec.select_video_keys or info.cameras)
    if not keys:
        raise AsyncVLAError(
            f"{info.root} has no camera with colors, expected {IMAGE_PREFIX}* among its features "
            f"{sorted(info.features)}; name others as select_video_keys of a data.yaml"
        )
    return keys


def _color_keys(info: DatasetInfo) -> list[str]:
    kinds = ("image", "video")
    return [
        key
        for key, feature in info.features.items()
        if (feature.get("dtype") in kinds or key in info.cameras) and not info.is_depth(key)
    ]


def _image_size(info: DatasetInfo, key: str) -> tuple[int, int]:
    """Return height and width [px]; LeRobot allows the three channels first or last."""
    shape = info.features[key]["shape"]
    if len(shape) == 3 and shape[2] == 3:
        return shape[0], shape[1]
    if len(shape) == 3 and shape[0] == 3:
        return shape[1], shape[2]
    raise AsyncVLAError(
        f"{info.root} gives {key} the shape {list(shape)}, expected height, width and 3 channels"
    )


def state_names(info: DatasetInfo, spec: DatasetSpec) -> tuple[str, ...]:
    """Return one name per state dim; errors as in ``dim_names``."""
    return _names(info, spec.select_state_keys, spec.state_names, "state")


def action_names(info: DatasetInfo, spec: DatasetSpec) -> tuple[str, ...]:
    """Return one name per action dim; errors as in ``dim_names``."""
    return _names(info, spec.select_action_keys, spec.action_names, "action")


def _names(
    info: DatasetInfo, keys: Sequence[str], given: tuple[str, ...] | None, what: str
) -> tuple[str, ...]:
    size = sum(_size(info, key) for key in keys)
    if given is not None:
        if len(given) != size:
            raise AsyncVLAError(f"{info.root}: {what} has {size} dims, the data.yaml names {len(given)}")
        return given
    names = tuple(name for key in keys for name in dim_names(info, key))
    if len(set(names)) != size:
        raise AsyncVLAError(
            f"{info.root}: some of {', '.join(keys)} share names of dims {names}; give names.{what} in the "
            "data.yaml"
        )
    return names


def dim_names(info: DatasetInfo, key: str) -> tuple[str, ...]:
    """Return one name per dim of a vector.

    LeRobot also writes ``{"motors": [...]}``, ``{"delta_x": 0, ...}`` and ``[[...]]``. If it names only the
    vector, or nothing, the dims are numbered.

    Raises:
        AsyncVLAError: the feature is missing, or names do not fit its size.
    """
    size = _size(info, key)
    names = info.features[key].get("names")
    if isinstance(names, Mapping):
        is_numbered = all(isinstance(value, int) for value in names.values())
        names = sorted(names, key=names.__getitem__) if is_numbered else list(names.values())
    if names and isinstance(names, list) and all(isinstance(part, list) for part in names):
        names = [name for part in names for name in part]
    if not names or (len(names) == 1 != size):
        label = key.removeprefix("observation.")
        return tuple(f"{label}_{place}" for place in range(size))
    if not isinstance(names, list) or len(names) != size or len({str(name) for name in names}) != size:
        raise AsyncVLAError(
            f"{info.root} names the dims of {key} {names}, expected {size} names, each once; a data.yaml can "
            "give others as names"
        )
    return tuple(map(str, names))


def _size(info: DatasetInfo, key: str) -> int:
    if key not in info.features:
        raise AsyncVLAError(
            f"{info.root} has no {key}, expected it among its features {sorted(info.features)}; rename them: "
            f"LeRobot's own names are {STATE_KEY}, {ACTION_KEY} and {IMAGE_PREFIX}NAME; or choose others as "
            "select_state_keys, select_action_keys and select_video_keys of a data.yaml"
        )
    return info.size(key)
