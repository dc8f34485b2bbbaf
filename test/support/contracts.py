"""A robot, a chunk and a feature contract to vary in tests."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import yaml

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.paths import share_dir
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.types import CameraFeature, FeatureContract

MS = 1_000_000
STEP_NS = 50 * MS
DOFS = ("dx", "dy", "dz", "drx", "dry", "drz", "gripper")


def shipped_robot(name: str) -> RobotContract:
    return load_robot(share_dir() / "config" / "robots" / f"{name}.yaml")


def contract_data(name: str) -> dict[str, Any]:
    """Parse the YAML of a shipped contract."""
    return yaml.safe_load((share_dir() / "config" / "robots" / f"{name}.yaml").read_text())


def with_value(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Copy parsed YAML with another value at a path such as ``action/dofs/0/limits``."""
    changed = copy.deepcopy(data)
    target: Any = changed
    *parents, last = path.split("/")
    for key in parents:
        target = target[int(key)] if key.isdigit() else target[key]
    target[int(last) if last.isdigit() else last] = value
    return changed


def libero_panda() -> RobotContract:
    return shipped_robot("libero_panda")


def untracked_panda() -> RobotContract:
    """libero_panda without limits of velocity: commands are what the chunks say, clamped."""
    robot = libero_panda()
    dofs = (replace(dof, velocity=None, acceleration=None, jerk=None) for dof in robot.dofs)
    return replace(robot, dofs=tuple(dofs))


def libero_features(**changes: Any) -> FeatureContract:
    values: dict[str, Any] = {
        "cameras": (CameraFeature("agentview", 224, 224), CameraFeature("wrist", 224, 224)),
        "state_names": libero_panda().state_names,
        "action_names": DOFS,
        "action_space": "delta_ee_pose",
        "action_hz": 20.0,
    }
    return FeatureContract(**{**values, **changes})


def chunk(chunk_id: int = 1, stamp_ns: int = 0, length: int = 8, **changes: Any) -> StampedChunk:
    """Make a valid chunk for libero_panda whose dx encodes id and index: ``0.001 * id + 0.0001 * index``."""
    actions = np.zeros((length, len(DOFS)), np.float32)
    actions[:, 0] = 0.001 * chunk_id + 0.0001 * np.arange(length)
    values: dict[str, Any] = {
        "session_id": 7,
        "chunk_id": chunk_id,
        "stamp_ns": stamp_ns,
        "action_period_ns": STEP_NS,
        "action_space": "delta_ee_pose",
        "dof_names": DOFS,
        "actions": actions,
    }
    return StampedChunk(**{**values, **changes})
