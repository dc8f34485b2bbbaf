"""Orientation of a pose target: six tracked entries of a rotation matrix, kept a true rotation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.common.transforms import state_to_pose
from asyncvla_ros.robot.contract import Dof, RobotContract

# Action dims that are two columns of a rotation matrix, in an ee_pose of nine.
COLUMNS = slice(3, 9)
POSE_SIZE = 9
# Greatest angle from the commanded orientation to its goal [rad]. Every mixture of the entries of two
# rotations so near to each other is nearly a rotation.
AHEAD_RAD = 0.3
# |ω|² is at most the sum of the squares of the six entries' rates; the rest is margin for the mixtures.
SHARE = 0.85 / math.sqrt(6)


def has_orientation(robot: RobotContract) -> bool:
    """Return whether a contract's actions are poses with a tracked orientation."""
    columns = robot.dofs[COLUMNS]
    is_pose = robot.action_space == "ee_pose" and len(robot.dofs) >= POSE_SIZE
    return is_pose and all(dof.velocity is not None for dof in columns)


def with_entry_limits(robot: RobotContract) -> tuple[Dof, ...]:
    """Return a contract's dofs with entry limits that keep the rotation within the contract's.

    The contract states an entry's velocity as that of the rotation [rad/s], and so on.
    """
    if not has_orientation(robot):
        return robot.dofs
    return tuple(_entry(dof) if 3 <= index < POSE_SIZE else dof for index, dof in enumerate(robot.dofs))


def _entry(dof: Dof) -> Dof:
    keys = ("velocity", "acceleration", "jerk", "stop_acceleration", "stop_jerk")
    limits = {key: getattr(dof, key) for key in keys}
    return replace(dof, **{key: SHARE * value for key, value in limits.items() if value is not None})


def goal_columns(commanded: Sequence[float], wanted: Sequence[float]) -> np.ndarray | None:
    """Return the orientation to aim at, on the shortest way to the wanted one.

    Args:
        commanded: (6,) commanded columns, nearly those of a rotation.
        wanted: (6,) columns of the policy, of any length and angle between them.

    Returns:
        (6,) columns of a rotation at most ``AHEAD_RAD`` from the commanded one; None if the wanted columns
        describe no orientation.
    """
    try:
        goal = _rotation(wanted)
    except ValueError:
        return None
    now = _rotation(commanded)
    way = (goal * now.inv()).as_rotvec()
    angle = float(np.linalg.norm(way))
    if angle > AHEAD_RAD:
        goal = Rotation.from_rotvec(way * (AHEAD_RAD / angle)) * now
    return goal.as_matrix()[:, :2].T.ravel()


def as_rotation(columns: Sequence[float]) -> np.ndarray:
    """Return the columns (6,) of the rotation that Gram and Schmidt make of (6,) ``columns``.

    Raises:
        ValueError: they describe no orientation.
    """
    return _rotation(columns).as_matrix()[:, :2].T.ravel()


def _rotation(columns: Sequence[float]) -> Rotation:
    return Rotation.from_quat(state_to_pose(np.concatenate([np.zeros(3), columns]))[1])
