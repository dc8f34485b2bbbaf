from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.sim.grip import Grip, box_grips, clearance, grip_height
from asyncvla_ros.sim.scene import Box

CHEESE = Box(np.array([-0.04, -0.02, 0.0]), np.array([0.04, 0.02, 0.018]))


@pytest.mark.parametrize(("top", "expected"), [(0.018, 0.012), (0.13, 0.095)])
def test_tall_objects_are_held_near_the_top_and_flat_ones_above_the_ground(
    top: float, expected: float
) -> None:
    box = Box(np.zeros(3), np.array([0.04, 0.04, top]))
    assert grip_height(box) == pytest.approx(expected)


def test_misalignment_is_what_exceeds_the_tolerance() -> None:
    """The first tolerance is along the closing direction, which is y at yaw 0 and x at 90 degrees."""
    grip = Grip(np.zeros(3), 0.0, tolerance=np.array([0.005, 0.012]))
    assert grip.misalignment(np.array([0.012, -0.005, 0.3])) == 0.0
    assert grip.misalignment(np.array([0.0, 0.009, 0.0])) == pytest.approx(0.004)
    sideways = Grip(np.zeros(3), np.pi / 2, tolerance=np.array([0.005, 0.012]))
    assert sideways.misalignment(np.array([0.009, 0.012, 0.0])) == pytest.approx(0.004)


def test_the_plainest_grip_comes_first_and_none_is_wider_than_the_fingers() -> None:
    point, yaw, _ = box_grips(CHEESE)[0]
    assert yaw == 0.0
    np.testing.assert_allclose(point, [0.0, 0.0, 0.012])
    assert all(abs(yaw) < 1.0 for _, yaw, _ in box_grips(CHEESE)), "8 cm do not fit between the fingers"
    turned = Box(CHEESE.low[[1, 0, 2]], CHEESE.high[[1, 0, 2]])
    assert {yaw for _, yaw, _ in box_grips(turned)} == {np.pi / 2}


def test_a_can_beside_a_flat_object_is_in_the_way_of_the_palm_only() -> None:
    low, high = np.array([[-0.03, 0.08, 0.0]]), np.array([[0.03, 0.14, 0.075]])
    point = np.array([0.0, 0.0, 0.012])
    assert clearance(point, 0.0, (low, high)) == pytest.approx(-0.022)
    assert clearance(point, np.pi / 2, (low, high)) > 0.05
    high[0, 2] = 0.03
    assert clearance(point, 0.0, (low, high)) == pytest.approx(0.012), "the fingers pass beside it"
    high[0, 2] = -0.01
    assert clearance(point, 0.0, (low, high)) == np.inf
