from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from asyncvla_ros.common.transforms import (
    matrix_to_quat_xyzw,
    pose_to_state,
    quat_xyzw_to_matrix,
    state_to_pose,
)

quaternions = arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 1e-3)


@given(quaternions)
def test_quaternion_to_matrix_equals_scipy(quat: np.ndarray) -> None:
    np.testing.assert_allclose(quat_xyzw_to_matrix(quat), Rotation.from_quat(quat).as_matrix(), atol=1e-12)


@given(quaternions)
def test_matrix_to_quaternion_is_the_inverse(quat: np.ndarray) -> None:
    matrix = quat_xyzw_to_matrix(quat)
    found = matrix_to_quat_xyzw(matrix)
    assert found[3] >= 0
    np.testing.assert_allclose(quat_xyzw_to_matrix(found), matrix, atol=1e-9)


def test_pose_to_state_is_position_then_two_columns() -> None:
    quarter_turn_about_z = np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    state = pose_to_state(np.array([0.1, 0.2, 0.3]), quarter_turn_about_z)
    assert state.dtype == np.float32
    np.testing.assert_allclose(state, [0.1, 0.2, 0.3, 0, 1, 0, -1, 0, 0], atol=1e-6)


def test_pose_to_state_ignores_the_sign_of_the_quaternion() -> None:
    quat = np.array([0.9, -0.1, 0.3, 0.2])
    np.testing.assert_array_equal(pose_to_state(np.zeros(3), quat), pose_to_state(np.zeros(3), -quat))


@pytest.mark.parametrize("quat", [np.zeros(4), np.full(4, np.nan), np.ones(3)])
def test_pose_to_state_rejects_what_is_no_rotation(quat: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a finite quaternion"):
        pose_to_state(np.zeros(3), quat)


@given(quaternions)
def test_state_to_pose_is_the_inverse(quat: np.ndarray) -> None:
    position, found = state_to_pose(pose_to_state(np.array([0.1, 0.2, 0.3]), quat))
    np.testing.assert_allclose(position, [0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(quat_xyzw_to_matrix(found), quat_xyzw_to_matrix(quat), atol=1e-5)


@pytest.mark.parametrize("columns", [np.zeros(6), np.ones(6), np.array([1, 0, 0, 0, np.nan, 0])])
def test_state_to_pose_rejects_what_says_no_orientation(columns: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two finite, independent columns"):
        state_to_pose(np.concatenate([np.zeros(3), columns]))
