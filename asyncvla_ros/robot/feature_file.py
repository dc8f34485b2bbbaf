"""Reading a checkpoint's feature contract (``features.json``) without its network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asyncvla_ros.common.json_file import read_json
from asyncvla_ros.robot.contract import ACTION_SPACES
from asyncvla_ros.types import CameraFeature, CheckpointError, FeatureContract

# Greatest side of an image [px].
LARGEST = 8192
# Keys of the file that are not named as the attribute: files are compared by their bytes, so they stay.
FILE_KEYS = {"action_hz": "control_hz"}


def load_features(folder: Path) -> FeatureContract:
    """Return the feature contract of a checkpoint folder.

    Raises:
        CheckpointError: the folder is no checkpoint, or the file is no feature contract.
    """
    file = folder / "features.json"
    if not file.is_file():
        raise CheckpointError(f"{folder} is not an AsyncVLA checkpoint: {file.name} not found")
    values = read_json(file, CheckpointError)
    try:
        features = FeatureContract(
            cameras=tuple(CameraFeature(**camera) for camera in values["cameras"]),
            state_names=tuple(values["state_names"]),
            action_names=tuple(values["action_names"]),
            action_space=values["action_space"],
            action_hz=float(values["control_hz"]),
            conventions=dict(values.get("conventions", {})),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{file} is not a feature contract: {error!r}") from error
    for problem in _problems(features):
        raise CheckpointError(f"{file}: {problem}")
    return features


def features_values(features: FeatureContract) -> dict[str, Any]:
    """Return a feature contract as ``features.json`` holds it."""
    return {FILE_KEYS.get(name, name): value for name, value in asdict(features).items()}


def _problems(features: FeatureContract) -> Iterator[str]:
    """Yield each value that a feature contract does not permit."""
    for what, names in (
        ("cameras", [camera.key for camera in features.cameras]),
        ("state_names", features.state_names),
        ("action_names", features.action_names),
    ):
        if not names or not all(isinstance(name, str) and name for name in names):
            yield f"{what} is {list(names)}, expected at least one name"
        elif len(set(names)) < len(names):
            yield f"{what} is {list(names)}, expected each name once"
    for camera in features.cameras:
        sizes = camera.height, camera.width
        if not all(isinstance(size, int) and 0 < size <= LARGEST for size in sizes):
            yield f"camera {camera.key} is {sizes[0]!r} x {sizes[1]!r}, expected pixels up to {LARGEST}"
    if features.action_space not in ACTION_SPACES:
        yield f"action_space is {features.action_space!r}, expected one of {', '.join(ACTION_SPACES)}"
    if not all(isinstance(text, str) for pair in features.conventions.items() for text in pair):
        yield f"conventions is {features.conventions}, expected names and values as text"
    if not 0 < features.action_hz < float("inf"):
        yield f"control_hz is {features.action_hz!r}, expected a number above 0"
