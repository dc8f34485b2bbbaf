"""States, actions and gripper of the Google robot against the conventions of its data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.sim.simpler.google_robot import (
    STICKY_STEPS,
    StickyGripper,
    env_action,
    max_steps,
    robot_state,
)
from support.simpler_stand_in import GoogleRobotTask


@pytest.mark.parametrize("tells_pose", [True, False])
def test_the_state_is_the_tool_in_the_base_with_a_quaternion_xyzw_and_closedness(*, tells_pose: bool):
    """A quarter turn about z and a gripper closed by 0.3, from both forms of the simulator's API."""
    env = GoogleRobotTask("google_robot_pick_coke_can", tells_pose=tells_pose)
    env.reset()
    obs, *_ = env.step(np.array([0.1, -0.2, 0.3, 0, 0, np.pi / 2, 3.0]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(robot_state(env, obs), [0.6, -0.1, 1.2, 0, 0, half, half, 0.3], atol=1e-6)


@given(turn=st.lists(st.floats(-np.pi, np.pi), min_size=3, max_size=3), tells_pose=st.booleans())
def test_the_quaternion_has_one_sign(turn: list[float], *, tells_pose: bool):
    env = GoogleRobotTask("google_robot_pick_coke_can", tells_pose=tells_pose)
    env.reset()
    obs, *_ = env.step(np.array([0, 0, 0, *turn, 0]))
    state = robot_state(env, obs)
    assert state.dtype == np.float32 and state[6] >= 0
    assert np.linalg.norm(state[3:7]) == pytest.approx(1, abs=1e-6)


def test_rotations_are_about_fixed_axes_and_become_axis_times_angle():
    """Roll and yaw by 90°, first about x, then about z of the base: 120° about (1, 1, 1)."""
    action = env_action(np.array([0.1, 0.2, 0.3, np.pi / 2, 0, np.pi / 2, 1.0]), StickyGripper())
    third = 2 * np.pi / 3 / np.sqrt(3)
    np.testing.assert_allclose(action, [0.1, 0.2, 0.3, third, third, third, 0], atol=1e-12)
    small = env_action(np.array([0, 0, 0, 0.0, 0.2, 0, 1.0], np.float32), StickyGripper())
    np.testing.assert_allclose(small[3:6], [0, 0.2, 0], atol=1e-7)


def commands(*wanted: float) -> list[float]:
    gripper = StickyGripper()
    return [round(gripper.step(value), 6) for value in wanted]


def test_the_gripper_closes_for_fifteen_steps_and_opens_for_fifteen():
    assert STICKY_STEPS == 15
    closing = commands(1, 1, *[0] * 20)
    assert closing == [0, 0, *[1] * 15, *[0] * 5]
    assert commands(0, *[1] * 20) == [0, *[-1] * 15, *[0] * 5]
    assert commands(1, *[0] * 15, *[1] * 15) == [0, *[1] * 15, *[-1] * 15]


def test_the_gripper_neither_turns_round_nor_begins_anew_while_it_moves():
    assert commands(1, 0, 1, 0, 1, *[1] * 14) == [0, *[1] * 15, 0, 0, 0]
    # What is wanted while it moves counts as the past.
    assert commands(1, 0, *[1] * 15, 0) == [0, *[1] * 15, 0, 1]


def test_small_changes_pass_as_they_are():
    assert commands(1, 0.75, 0.25, 0.5) == [0, 0.25, 0.5, -0.25]
    assert commands(1, 0.4, 0.4) == [0, 0.6, 0.6]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_a_command_is_a_change_that_was_wanted(wanted: list[float]):
    gripper, changes = StickyGripper(), {0.0}
    for before, value in zip([wanted[0], *wanted], wanted, strict=False):
        changes.add(before - value)
        assert gripper.step(value) in changes


def test_episodes_are_as_long_as_their_tasks():
    steps = {
        "google_robot_pick_horizontal_coke_can": 80,
        "google_robot_move_near_v1": 80,
        "google_robot_open_top_drawer": 113,
        "google_robot_close_drawer": 113,
        "google_robot_place_apple_in_closed_top_drawer": 200,
    }
    assert {task: max_steps(task) for task in steps} == steps
    with pytest.raises(ValueError, match="'widowx_stack_cube' is no task of the Google robot"):
        max_steps("widowx_stack_cube")
