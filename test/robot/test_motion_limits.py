from __future__ import annotations

from dataclasses import replace

import pytest

from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import MotionLimits, following_limit, motion_limits, stop_limits

JOINT = Dof("j", "rad", 1.0, is_delta=False, minimum=-1.0, maximum=1.0, velocity=2.0)


def test_what_has_no_limit_may_use_the_velocity_within_two_periods():
    assert motion_limits(JOINT, 0.1) == MotionLimits(-2.0, 2.0, 40.0, 800.0)
    assert motion_limits(replace(JOINT, acceleration=4.0), 0.1) == MotionLimits(-2.0, 2.0, 4.0, 80.0)
    assert motion_limits(replace(JOINT, acceleration=4.0, jerk=9.0), 0.1) == MotionLimits(-2.0, 2.0, 4.0, 9.0)


def test_the_step_limits_of_a_change_bound_its_velocity():
    change = replace(JOINT, is_delta=True, minimum=-0.1, maximum=0.3)
    limits = motion_limits(change, 0.1)
    assert (limits.min_velocity, limits.max_velocity) == (pytest.approx(-1.0), 2.0)
    assert limits.speed == 2.0
    assert motion_limits(replace(change, minimum=-0.3, maximum=0.1), 0.1).speed == 2.0


def test_a_stop_is_that_of_the_motion_unless_the_contract_says_otherwise():
    dof = replace(JOINT, acceleration=4.0, jerk=9.0)
    assert stop_limits(dof, 0.1) == motion_limits(dof, 0.1)
    stop = stop_limits(replace(dof, stop_acceleration=8.0, stop_jerk=90.0), 0.1)
    assert stop == MotionLimits(-2.0, 2.0, 8.0, 90.0)


def test_the_following_error():
    assert following_limit(replace(JOINT, following_error=0.05)) == 0.05
    assert following_limit(JOINT) == pytest.approx(0.2)
    assert following_limit(replace(JOINT, velocity=None)) == 0.1
