from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.robot.kinematics import load_chain
from asyncvla_ros.types import ContractError
from support.urdf import PLANAR, SPATIAL


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ((0.0, 0.0, 0.0), (0.9, 0.0, 0.1)),
        ((np.pi / 2, 0.0, 0.0), (0.0, 0.9, 0.1)),
        ((0.0, np.pi / 2, 0.0), (0.5, 0.4, 0.1)),
        ((np.pi / 2, -np.pi / 2, 0.0), (0.4, 0.5, 0.1)),
        ((0.0, 0.0, 0.05), (0.9, 0.0, 0.15)),
    ],
)
def test_known_positions(positions, expected):
    chain = load_chain(PLANAR, "base", "tip")
    assert chain.names == ("shoulder", "elbow", "lift")
    pose = chain.pose(dict(zip(chain.names, positions, strict=True)))
    np.testing.assert_allclose(pose[:3, 3], expected, atol=1e-12)
    turned = positions[0] + positions[1]
    np.testing.assert_allclose(pose[:2, 0], [np.cos(turned), np.sin(turned)], atol=1e-12)


ANGLES = st.floats(-3.0, 3.0)


@given(st.tuples(ANGLES, ANGLES, st.floats(-0.2, 0.2)))
def test_agrees_with_mujoco(values):
    """An independent implementation of the same description, with tilted origins and axes."""
    model = mujoco.MjModel.from_xml_string(SPATIAL)
    data = mujoco.MjData(model)
    data.qpos[:] = values
    mujoco.mj_kinematics(model, data)
    body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "tip")
    pose = load_chain(SPATIAL, "base", "tip").pose(dict(zip(("a", "b", "c"), values, strict=True)))
    np.testing.assert_allclose(pose[:3, 3], data.xpos[body], atol=1e-9)
    np.testing.assert_allclose(pose[:3, :3], data.xmat[body].reshape(3, 3), atol=1e-9)


def test_other_links_do_not_matter():
    pose = load_chain(PLANAR, "upper", "tip").pose({"elbow": 0.0, "lift": 0.0, "elsewhere": 3.0})
    np.testing.assert_allclose(pose[:3, 3], [0.9, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("urdf", "base", "tip", "message"),
    [
        ("<robot", "base", "tip", "found no XML"),
        (PLANAR, "base", "tool0", "no link 'tool0'; the links are base, upper, fore, slide, tip"),
        (PLANAR, "tip", "fore", "fore does not hang on tip, the chain ends at base"),
        (PLANAR.replace("prismatic", "floating"), "base", "tip", "lift is a joint of type 'floating'"),
        (PLANAR.replace("0.4 0 0", "0.4 0"), "base", "tip", "expected three finite numbers, found '0.4 0'"),
    ],
)
def test_what_cannot_be_used_is_named(urdf, base, tip, message):
    with pytest.raises(ContractError, match=message):
        load_chain(urdf, base, tip)


def test_a_missing_joint_is_named():
    with pytest.raises(ContractError, match="joint elbow, lift is missing; known are shoulder"):
        load_chain(PLANAR, "base", "tip").pose({"shoulder": 0.0})


@given(st.lists(st.tuples(ANGLES, ANGLES, st.floats(-0.2, 0.2)), min_size=1, max_size=5))
def test_many_points_are_those_of_the_poses(values):
    chain = load_chain(SPATIAL, "base", "tip")
    expected = [chain.pose(dict(zip(chain.names, row, strict=True)))[:3, 3] for row in values]
    np.testing.assert_allclose(chain.points(np.array(values)), expected, atol=1e-12)
