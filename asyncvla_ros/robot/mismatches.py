"""Differences between what a policy expects and what a robot offers."""

from __future__ import annotations

from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import FeatureContract


def mismatches(robot: RobotContract, features: FeatureContract) -> list[str]:
    """Return what the checkpoint expects and the robot does not offer, one line each; empty if they fit.

    The robot may have more cameras than the checkpoint uses.
    """
    lines = []
    expected = [camera.key for camera in features.cameras]
    found = [camera.key for camera in robot.cameras]
    if not set(expected) <= set(found):
        lines.append(f"cameras: the checkpoint expects {_list(expected)}, the robot has {_list(found)}")
    lines += _name_mismatch("state", features.state_names, robot.state_names)
    lines += _name_mismatch("action", features.action_names, robot.dof_names)
    if features.action_space != robot.action_space:
        wanted_space, offered_space = features.action_space, robot.action_space
        lines.append(f"action space: the checkpoint expects {wanted_space}, the robot has {offered_space}")
    if abs(features.action_hz - robot.action_hz) > 1e-6 * features.action_hz:
        wanted, offered = features.action_hz, robot.action_hz
        lines.append(f"control rate: the checkpoint expects {wanted:g} Hz, the robot has {offered:g} Hz")
    return lines


def _name_mismatch(what: str, expected: tuple[str, ...], found: tuple[str, ...]) -> list[str]:
    if expected == found:
        return []
    kind = "order of " if sorted(expected) == sorted(found) else ""
    return [
        f"{kind}{what} names: the checkpoint expects {len(expected)}: {_list(expected)}; "
        f"the robot has {len(found)}: {_list(found)}"
    ]


def _list(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)
