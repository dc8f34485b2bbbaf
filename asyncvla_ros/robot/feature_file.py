"""Reading what a checkpoint expects of a robot (``features.json``), without its network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asyncvla_ros.types import CameraFeature, CheckpointError, FeatureContract


def load_features(folder: Path) -> FeatureContract:
    """The feature contract of a checkpoint folder.

    Raises:
        CheckpointError: the folder is no checkpoint, or the file is no feature contract.
    """
    file = folder / "features.json"
    if not file.is_file():
        raise CheckpointError(f"{folder} is not an AsyncVLA checkpoint: {file.name} not found")
    values = read_json(file)
    try:
        return FeatureContract(
            cameras=tuple(CameraFeature(**camera) for camera in values["cameras"]),
            state_names=tuple(values["state_names"]),
            action_names=tuple(values["action_names"]),
            action_space=values["action_space"],
            control_hz=float(values["control_hz"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} is not a feature contract: {error!r}") from error


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; CheckpointError if there is none."""
    try:
        values = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file} holds a {type(values).__name__}, expected an object")
    return values
