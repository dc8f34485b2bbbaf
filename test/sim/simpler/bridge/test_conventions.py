from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.simpler.bridge.conventions import (
    ACTION_NAMES,
    DEFAULT_ROTATION,
    STATE_NAMES,
    bridge_state,
    require_bridge_policy,
    simulator_command,
)
from asyncvla_ros.types import CameraFeature, ContractError
from support.contracts import libero_features

OPEN, CLOSED = np.full(2, 0.037), np.full(2, 0.015)


def pose(rotation: np.ndarray, position: tuple[float, float, float] = (0.3, -0.1, 0.2)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, position
    return matrix


def test_a_gripper_that_points_down_has_no_angles():
    # The gripper's own x axis, along its fingers, is the base's -z.
    down = pose(DEFAULT_ROTATION)
    np.testing.assert_allclose(down[:3, 0], [0, 0, -1])
    np.testing.assert_allclose(bridge_state(down, OPEN), [0.3, -0.1, 0.2, 0, 0, 0, 0, 1], atol=1e-7)


def test_angles_are_those_of_turns_about_the_axes_of_the_base():
    for axis, name in enumerate("xyz"):
        turned = Rotation.from_euler(name, 0.3).as_matrix() @ DEFAULT_ROTATION
        expected = np.zeros(3)
        expected[axis] = 0.3
        np.testing.assert_allclose(bridge_state(pose(turned), OPEN)[3:6], expected, atol=1e-6)
    # Roll first, yaw last, about axes that stay.
    turned = Rotation.from_euler("z", 0.3) * Rotation.from_euler("y", 0.2) * Rotation.from_euler("x", 0.1)
    state = bridge_state(pose(turned.as_matrix() @ DEFAULT_ROTATION), OPEN)
    np.testing.assert_allclose(state[3:6], [0.1, 0.2, 0.3], atol=1e-6)


@pytest.mark.parametrize(
    ("fingers_m", "openness"),
    [
        ((0.037, 0.037), 1),
        ((0.015, 0.015), 0),
        ((0.026, 0.026), 0.5),
        ((0.037, 0.015), 0.5),
        ((0.04, 0.04), 1),
    ],
)
def test_openness_is_the_share_of_the_range_of_both_fingers(fingers_m, openness):
    state = bridge_state(pose(DEFAULT_ROTATION), np.array(fingers_m))
    assert state.dtype == np.float32 and state.shape == (len(STATE_NAMES),)
    assert state[7] == pytest.approx(openness, abs=1e-6) and state[6] == 0


def test_the_gripper_opens_above_one_half():
    commands = [simulator_command(np.array([0, 0, 0, 0, 0, 0, open_])) for open_ in (0, 0.5, 0.51, 1)]
    assert [command[6] for command in commands] == [-1, -1, 1, 1]


def test_a_translation_stays_and_euler_angles_become_a_rotation_vector():
    action = np.array([0.01, -0.02, 0.03, 0.3, -0.2, 0.5, 1])
    command = simulator_command(action)
    np.testing.assert_allclose(command[:3], action[:3])
    expected = Rotation.from_euler("z", 0.5) * Rotation.from_euler("y", -0.2) * Rotation.from_euler("x", 0.3)
    np.testing.assert_allclose(
        Rotation.from_rotvec(command[3:6]).as_matrix(), expected.as_matrix(), atol=1e-12
    )
    assert np.abs(command[3:6] - action[3:6]).max() > 0.02, "the vector is not the angles"
    np.testing.assert_allclose(simulator_command(np.array([0, 0, 0, 0, 0, 0.4, 0]))[3:6], [0, 0, 0.4])


def test_what_mani_skill_makes_of_the_vector_is_near():
    rng = np.random.default_rng(0)
    for _ in range(100):
        axis = rng.normal(size=3)
        wanted = Rotation.from_euler("xyz", 0.1 * axis / np.linalg.norm(axis))
        done = Rotation.from_euler("XYZ", wanted.as_rotvec())
        assert np.degrees((wanted.inv() * done).magnitude()) < 0.2


def test_a_policy_of_another_robot_is_told_what_differs():
    with pytest.raises(ContractError) as raised:
        require_bridge_policy(libero_features())
    message = str(raised.value)
    for difference in ("cameras 2, expected 1", "state dims 11, expected 8", "action_hz 20.0, expected 5.0"):
        assert difference in message
    assert "action dims" not in message and "\n" not in message
    fitting = {
        "cameras": (CameraFeature("image_0", 256, 256),),
        "state_names": STATE_NAMES,
        "action_names": ACTION_NAMES,
        "action_hz": 5.0,
    }
    require_bridge_policy(libero_features(**fitting))
    with pytest.raises(ContractError, match="action_space ee_pose, expected delta_ee_pose"):
        require_bridge_policy(libero_features(**fitting, action_space="ee_pose"))
