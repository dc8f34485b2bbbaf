from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from asyncvla_ros.control.chunk_path import ChunkPath
from asyncvla_ros.robot.contract import Dof, JointStateSource
from asyncvla_ros.robot.kinematics import load_chain
from asyncvla_ros.types import ContractError
from support.contracts import chunk, libero_panda
from support.urdf import PLANAR

HERE = {"ee_x": 0.1, "ee_y": 0.2, "ee_z": 0.3, "finger_left": 0.02}
CHAIN = load_chain(PLANAR, "base", "tip")


def joint_robot(space):
    """Make the planar arm; its state calls the joints q1 and q2, and its lift is no action dim."""
    limits = {"unit": "rad", "scale": 1.0, "is_delta": False, "minimum": -3.0, "maximum": 3.0}
    return dataclasses.replace(
        libero_panda(),
        action_space=space,
        state=(JointStateSource("joint_states", ("elbow", "shoulder", "lift"), ("q2", "q1", "up")),),
        dofs=tuple(Dof(name=name, **limits) for name in ("q1", "q2", "gripper")),
    )


def joint_chunk(space, actions):
    names = ("q1", "q2", "gripper")
    return chunk(action_space=space, dof_names=names, actions=np.array(actions, np.float32))


def test_deltas_are_added_up_from_the_measured_position():
    actions = np.zeros((3, 7), np.float32)
    actions[:, :3] = [[0.01, 0, 0], [0.01, 0, 0], [0, -0.02, 0.03]]
    points = ChunkPath(libero_panda()).points(chunk(actions=actions), HERE)
    expected = [[0.1, 0.2, 0.3], [0.11, 0.2, 0.3], [0.12, 0.2, 0.3], [0.12, 0.18, 0.33]]
    np.testing.assert_allclose(points, expected, atol=1e-7)


def test_poses_are_taken_as_they_are():
    robot = dataclasses.replace(libero_panda(), action_space="ee_pose")
    points = ChunkPath(robot).points(chunk(action_space="ee_pose"), HERE)
    np.testing.assert_allclose(points[0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(points[1:, 0], 0.001 + 0.0001 * np.arange(8), atol=1e-7)


def test_joint_positions_go_through_the_kinematics():
    measured = {"q1": 0.0, "q2": 0.0, "up": 0.05}
    path = ChunkPath(joint_robot("joint_position"))
    given = joint_chunk("joint_position", [[np.pi / 2, 0, -1], [np.pi / 2, -np.pi / 2, 1]])
    points = path.points(given, measured, CHAIN)
    np.testing.assert_allclose(points, [[0.9, 0, 0.15], [0, 0.9, 0.15], [0.4, 0.5, 0.15]], atol=1e-6)


def test_joint_deltas_are_added_up_from_the_measured_joints():
    measured = {"q1": np.pi / 4, "q2": 0.0, "up": 0.0}
    path = ChunkPath(joint_robot("delta_joint_position"))
    given = joint_chunk("delta_joint_position", [[np.pi / 4, 0, 1], [0, -np.pi / 2, 1]])
    np.testing.assert_allclose(
        path.points(given, measured, CHAIN)[1:], [[0, 0.9, 0.1], [0.4, 0.5, 0.1]], atol=1e-6
    )


def test_what_is_missing_is_named():
    path = ChunkPath(joint_robot("joint_position"))
    given = joint_chunk("joint_position", [[0, 0, 0]])
    with pytest.raises(ContractError, match="without a robot description"):
        path.points(given, {})
    with pytest.raises(ContractError, match="joint shoulder, elbow, lift is missing"):
        path.points(given, {}, CHAIN)
    with pytest.raises(ContractError, match="no pose of the end effector"):
        ChunkPath(libero_panda()).points(chunk(), {"finger_left": 0.0})


@pytest.mark.parametrize(
    "changes",
    [
        {"dof_names": tuple("abcdefg")},
        {"action_space": "joint_position"},
        {"actions": np.zeros(7, np.float32)},
        {"actions": np.full((8, 7), np.nan, np.float32)},
    ],
)
def test_a_chunk_of_another_robot_is_refused(changes):
    with pytest.raises(ContractError, match="chunk 1: "):
        ChunkPath(libero_panda()).points(chunk(**changes), HERE)


def test_a_cartesian_robot_needs_a_pose():
    robot = dataclasses.replace(libero_panda(), state=libero_panda().state[1:])
    with pytest.raises(ContractError, match="found units m, m, m and 0 poses"):
        ChunkPath(robot)
