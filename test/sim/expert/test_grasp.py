from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.expert.grasp import (
    Grasp,
    box_grasps,
    distinct,
    grasp_height,
    nearest_turn,
    rim_grasps,
    yaw_of,
)
from asyncvla_ros.sim.expert.gripper_room import clearance, free_height
from asyncvla_ros.sim.libero.boxes import Box, Obstacles

CHEESE = Box(np.array([-0.04, -0.02, 0.0]), np.array([0.04, 0.02, 0.018]))


@pytest.mark.parametrize(("top", "expected"), [(0.018, 0.012), (0.13, 0.095)])
def test_tall_objects_are_held_near_the_top_and_flat_ones_above_the_ground(
    top: float, expected: float
) -> None:
    box = Box(np.zeros(3), np.array([0.04, 0.04, top]))
    assert grasp_height(box) == pytest.approx(expected)


def test_misalignment_is_what_exceeds_the_tolerance() -> None:
    """The first tolerance is along the closing direction, which is y at yaw 0 and x at 90 degrees."""
    grasp = Grasp(np.zeros(3), 0.0, tolerance=np.array([0.005, 0.012]))
    assert grasp.misalignment(np.array([0.012, -0.005, 0.3])) == 0.0
    assert grasp.misalignment(np.array([0.0, 0.009, 0.0])) == pytest.approx(0.004)
    sideways = Grasp(np.zeros(3), np.pi / 2, tolerance=np.array([0.005, 0.012]))
    assert sideways.misalignment(np.array([0.009, 0.012, 0.0])) == pytest.approx(0.004)


def test_the_plainest_grasp_comes_first_and_none_is_wider_than_the_fingers() -> None:
    point, yaw, _ = box_grasps(CHEESE)[0]
    assert yaw == 0.0
    np.testing.assert_allclose(point, [0.0, 0.0, 0.012])
    assert all(abs(yaw) < 1.0 for _, yaw, _ in box_grasps(CHEESE)), "8 cm do not fit between the fingers"
    turned = Box(CHEESE.low[[1, 0, 2]], CHEESE.high[[1, 0, 2]])
    assert {yaw for _, yaw, _ in box_grasps(turned)} == {np.pi / 2}


def _box(low: tuple[float, ...], high: tuple[float, ...], yaw: float = 0.0) -> Obstacles:
    center, half = (np.array(low) + high) / 2, (np.array(high) - low) / 2
    turn = Rotation.from_euler("z", yaw).as_matrix()
    return Obstacles(center[None], (turn * half).T[None])


def test_a_can_beside_a_flat_object_is_in_the_way_of_the_palm_only() -> None:
    point = np.array([0.0, 0.0, 0.012])
    can = _box((-0.03, 0.08, 0.0), (0.03, 0.14, 0.075))
    assert clearance(point, 0.0, can) == pytest.approx(-0.022)
    assert clearance(point, np.pi / 2, can) > 0.04
    flat = _box((-0.03, 0.08, 0.0), (0.03, 0.14, 0.03))
    assert clearance(point, 0.0, flat) == pytest.approx(0.012), "the fingers pass beside it"
    assert clearance(point, 0.0, _box((-0.03, 0.08, -0.1), (0.03, 0.14, -0.01))) == np.inf


def test_a_turned_wall_is_not_taken_for_the_box_around_it() -> None:
    turn = Rotation.from_euler("z", np.pi / 4).as_matrix()
    wall = Obstacles(np.array([[-0.05, 0.05, 0.015]]), (turn * [0.1, 0.002, 0.015]).T[None])
    point = np.array([0.0, 0.0, 0.012])
    assert clearance(point, -np.pi / 4, wall) > 0.05, "closing along the wall, 7 cm beside it"
    around = _box(tuple(wall.low[0]), tuple(wall.high[0]))
    assert clearance(point, -np.pi / 4, around) < 0.0


def test_the_release_is_above_what_the_opening_fingers_would_touch() -> None:
    bowl = _box((-0.05, -0.05, 0.0), (0.05, 0.05, 0.05))
    assert free_height(np.zeros(2), 0.0, bowl) == pytest.approx(0.064)
    assert free_height(np.array([0.5, 0.0]), 0.0, bowl) == -np.inf


def test_the_rim_is_held_plainly_first_and_always_with_reachable_turns() -> None:
    point, yaw, _ = rim_grasps(np.zeros(3), np.eye(3))[0]
    assert yaw == pytest.approx(0.0)
    np.testing.assert_allclose(point, [0.0, 0.0495, 0.040], atol=1e-12)
    now = Grasp(np.zeros(3), np.pi / 2, np.zeros(2)).rotation
    turned = nearest_turn(Grasp(np.zeros(3), -np.radians(80), np.zeros(2)), now)
    assert turned.yaw == pytest.approx(np.radians(100))


def test_the_next_grasp_is_another_one() -> None:
    ways = [(*way, 0.0) for way in rim_grasps(np.zeros(3), np.eye(3))]
    first, second, *_ = others = list(distinct(ways))
    assert first[0] is ways[0][0]
    assert 12 <= len(others) <= len(ways) / 2
    assert np.linalg.norm(second[0] - first[0]) > 0.011 or abs(second[1] - first[1]) > 0.2
    assert len(list(distinct([*ways[:1], (*ways[0][:3], 0.7)]))) == 2


def test_a_narrow_box_can_be_held_at_the_yaw_of_the_hand_and_a_wide_one_only_across() -> None:
    narrow = Box(np.array([-0.02, -0.02, 0.0]), np.array([0.02, 0.02, 0.15]))
    assert np.radians(40.0) in [yaw for _, yaw, _ in box_grasps(narrow, np.radians(40.0))]
    wide = [yaw for _, yaw, _ in box_grasps(CHEESE, np.radians(20.0), np.radians(80.0))]
    assert np.radians(20.0) in wide and np.radians(80.0) not in wide


@pytest.mark.parametrize("yaw", [-1.5, -0.3, 0.0, 0.4, 1.5])
def test_the_yaw_of_a_hand_is_that_of_its_grasp_and_fingers_have_no_front(yaw: float) -> None:
    for turn in (0.0, np.pi):
        rotation = Grasp(np.zeros(3), yaw + turn, tolerance=np.array([0.01, 0.01])).rotation
        assert yaw_of(rotation) == pytest.approx(yaw)


def test_a_hand_that_tilts_aside_reaches_under_a_shelf() -> None:
    tilted = Grasp(np.zeros(3), np.pi / 2, tolerance=np.array([0.01, 0.01]), tilt=0.7)
    np.testing.assert_allclose(tilted.up, [0.0, np.sin(0.7), np.cos(0.7)], atol=1e-12)
    assert tilted.lateral_offset(-0.1 * tilted.up) == pytest.approx(0.0)
    assert tilted.misalignment(-0.1 * tilted.up) == 0.0
    shelf = _box((-0.1, -0.2, 0.1), (0.1, -0.01, 0.15))
    point = np.zeros(3)
    assert clearance(point, np.pi / 2, shelf) < 0.0
    assert clearance(point, np.pi / 2, shelf, tilt=0.7) > 0.02
    assert clearance(point, np.pi / 2, shelf, tilt=-0.7) < 0.0


def test_a_tilted_hand_turned_by_180_degrees_tilts_to_the_same_side() -> None:
    grasp = Grasp(np.zeros(3), -1.0, np.zeros(2), tilt=-0.7)
    turned = nearest_turn(grasp, grasp.rotation)
    assert turned.yaw == pytest.approx(np.pi - 1.0), "the wrist cannot turn so far the other way"
    np.testing.assert_allclose(turned.up, grasp.up, atol=1e-12)
