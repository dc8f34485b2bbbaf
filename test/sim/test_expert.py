from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.expert import Grip, grip_height, rotation_action, translation_action
from asyncvla_ros.sim.scene import Box


def test_translation_is_proportional_and_limited() -> None:
    action = translation_action(np.zeros(3), np.array([0.01, -0.5, 0.0]))
    np.testing.assert_allclose(action, [0.24, -1.0, 0.0])


def test_rotation_turns_towards_the_goal() -> None:
    goal = Rotation.from_euler("z", 0.1).as_matrix()
    np.testing.assert_allclose(rotation_action(np.eye(3), goal), [0, 0, 0.24], atol=1e-12)
    far = Rotation.from_euler("z", 2.0).as_matrix()
    np.testing.assert_allclose(rotation_action(np.eye(3), far), [0, 0, 0.5], atol=1e-12)


@pytest.mark.parametrize(("top", "expected"), [(0.018, 0.012), (0.13, 0.095)])
def test_tall_objects_are_held_near_the_top_and_flat_ones_above_the_ground(
    top: float, expected: float
) -> None:
    box = Box(np.zeros(3), np.array([0.04, 0.04, top]))
    assert grip_height(box) == pytest.approx(expected)


def test_misalignment_is_what_exceeds_the_tolerance() -> None:
    grip = Grip(np.zeros(3), sideways=False, tolerance=np.array([0.012, 0.005]))
    assert grip.misalignment(np.array([0.012, -0.005, 0.3])) == 0.0
    assert grip.misalignment(np.array([0.0, 0.009, 0.0])) == pytest.approx(0.004)
