"""A checkpoint is a folder in Hugging Face style; loading needs no network and never unpickles.

config.json         AsyncVLAConfig
model.safetensors   weights, or model.safetensors.index.json and the shards that it names (any float type;
                    computed in the types that config.json says)
tokenizer.json      `tokenizers` file
features.json       FeatureContract: cameras, state and action names, action space, control rate
norm_stats.json     statistics of state and action
training_data.json  DataRecord of the policy and of its rater (optional)
robots/NAME/        features.json and norm_stats.json of each robot, of a policy for several (optional)
monitor.safetensors ObservationMonitor: which observations are foreign (optional)
monitor.json        EpisodeLimits: from when on an episode is doubtful (optional)
*.onnx              graphs that point into model.safetensors, see ``onnx_engine`` (optional)
README.md           model card (optional)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from asyncvla_ros.common.data_record import DataRecord
from asyncvla_ros.common.json_file import read_json
from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.card import GENERATED, model_card
from asyncvla_ros.model.checkpoint_files import require_files
from asyncvla_ros.model.config import load_config
from asyncvla_ros.model.monitor import MONITOR, ObservationMonitor, load_monitor, save_monitor
from asyncvla_ros.model.onnx_engine import GRAPHS
from asyncvla_ros.model.text import head_tokens, load_tokenizer
from asyncvla_ros.model.weights import load_weights, save_weights
from asyncvla_ros.observe.episode_monitor import LIMITS, EpisodeLimits, load_limits, save_limits
from asyncvla_ros.robot.feature_file import features_values, load_features
from asyncvla_ros.types import CheckpointError, FeatureContract

# Required files beside the weights.


_TRAINING_DATA = "training_data.json"
ROBOTS = "robots"


@dataclass(frozen=True)
class Checkpoint:
    """All parts of a policy.

    Attributes:
        trained_on: Training data of the policy; None if unknown.
        rated_on: Training data of its rater; None if unknown or without a rater.
        robots: Robots of a policy for several: name, feature contract, statistics of state and action.
        monitor: Monitor of foreign observations; None if not fitted.
        limits: Limits of the episode monitor; None if not fitted.
    """

    model: AsyncVLA
    tokenizer: Tokenizer
    features: FeatureContract
    state_stats: NormStats
    action_stats: NormStats
    trained_on: DataRecord | None = None
    rated_on: DataRecord | None = None
    robots: tuple[tuple[str, FeatureContract, NormStats, NormStats], ...] = ()
    monitor: ObservationMonitor | None = None
    limits: EpisodeLimits | None = None


def save_checkpoint(
    folder: Path,
    checkpoint: Checkpoint,
    dtype: torch.dtype | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint; an interrupted write leaves the previous weights in place.

    Args:
        folder: Created if missing.
        checkpoint: What to write.
        dtype: Type in which weights are stored; None: their own.
        weights: Weights to write, if the network does not hold them (sharded training); None: the network's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", checkpoint.model.config.to_dict())
    _write_robot(folder, checkpoint.features, checkpoint.state_stats, checkpoint.action_stats)
    if len(checkpoint.robots) > 1:
        for name, features, state, action in checkpoint.robots:
            (folder / ROBOTS / name).mkdir(parents=True, exist_ok=True)
            _write_robot(folder / ROBOTS / name, features, state, action)
    records = {"policy": checkpoint.trained_on, "rater": checkpoint.rated_on}
    _write_json(folder / _TRAINING_DATA, {k: record and record.to_dict() for k, record in records.items()})
    checkpoint.tokenizer.save(str(folder / "tokenizer.json"))
    weights = checkpoint.model.state_dict() if weights is None else weights
    card = folder / "README.md"
    if not card.exists() or GENERATED in card.read_text(encoding="utf-8"):
        card.write_text(model_card(checkpoint, weights), encoding="utf-8")
    for name in (*GRAPHS, MONITOR, LIMITS):
        # These belong to the previous weights.
        (folder / name).unlink(missing_ok=True)
    save_weights(folder, weights, dtype)
    if checkpoint.monitor is not None:
        save_monitor(folder, checkpoint.monitor)
    if checkpoint.limits is not None:
        save_limits(folder, checkpoint.limits)


def _write_robot(folder: Path, features: FeatureContract, state: NormStats, action: NormStats) -> None:
    _write_json(folder / "features.json", features_values(features))
    _write_json(folder / "norm_stats.json", {"state": state.to_dict(), "action": action.to_dict()})


def load_checkpoint(folder: Path, device: str = "cpu", robot: str | None = None) -> Checkpoint:
    """Read a checkpoint folder.

    Args:
        folder: Folder of the checkpoint.
        device: Device of the network.
        robot: Name of one robot of a policy for several; None: the robot of the folder itself.

    Raises:
        CheckpointError: If a file is missing, unreadable or contradicts another; the message names it.
    """
    require_files(folder)
    config = load_config(folder)
    own = folder if robot is None else _robot_folder(folder, robot)
    features = load_features(own)
    for limit, names, what in (
        (config.max_state_dim, features.state_names, "state"),
        (config.max_action_dim, features.action_names, "action"),
    ):
        if len(names) > limit:
            raise CheckpointError(f"{folder}: {len(names)} {what} names, but max_{what}_dim is {limit}")
    if len(features.cameras) != config.num_cameras:
        raise CheckpointError(
            f"{folder}: features.json has {len(features.cameras)} cameras, "
            f"config.json expects {config.num_cameras}"
        )
    try:
        with torch.device("meta"):
            model = AsyncVLA(config)
    except CheckpointError:
        raise
    except Exception as error:  # Libraries raise many types for an impossible config.
        raise CheckpointError(f"{folder}/config.json does not describe a network: {error}") from error
    load_weights(model, folder, device)
    tokenizer = load_tokenizer(folder)
    if (head := head_tokens(tokenizer, config.prompt)) != config.prompt_head_tokens:
        raise CheckpointError(
            f"{folder}: the prompt has {head} tokens before its images, config.json says "
            f"{config.prompt_head_tokens}"
        )
    stats = load_stats(own, features)
    return Checkpoint(
        *(model.eval(), tokenizer, features, *stats, *load_records(folder)),
        monitor=load_monitor(folder, config),
        limits=load_limits(folder),
    )


def _robot_folder(folder: Path, robot: str) -> Path:
    known = sorted(path.name for path in (folder / ROBOTS).glob("*") if path.is_dir())
    if robot not in known:
        listed = ", ".join(known) or "none: the policy is of one robot"
        raise CheckpointError(f"{folder} has no robot {robot!r}, choose of: {listed}")
    return folder / ROBOTS / robot


def load_stats(folder: Path, features: FeatureContract) -> tuple[NormStats, NormStats]:
    """Read the statistics of state and action of a checkpoint folder.

    Raises:
        CheckpointError: If they are unreadable or do not fit ``features``.
    """
    file = folder / "norm_stats.json"
    stats = read_json(file, CheckpointError)
    return (
        NormStats.from_dict(stats.get("state"), len(features.state_names), f"{file} state"),
        NormStats.from_dict(stats.get("action"), len(features.action_names), f"{file} action"),
    )


def load_records(folder: Path) -> tuple[DataRecord | None, DataRecord | None]:
    """Read the records of the data that trained a checkpoint's policy and rater; None where unknown.

    Raises:
        CheckpointError: If the file exists but is unreadable.
    """
    file = folder / _TRAINING_DATA
    values = read_json(file, CheckpointError) if file.is_file() else {}
    given = values.get("policy"), values.get("rater")
    policy, rater = (DataRecord.from_dict(v, str(file)) if v else None for v in given)
    return policy, rater


def _write_json(file: Path, values: object) -> None:
    file.write_text(json.dumps(values, indent=1) + "\n")
