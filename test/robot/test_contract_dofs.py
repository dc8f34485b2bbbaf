from __future__ import annotations

from typing import Any

import pytest

from asyncvla_ros.robot.contract_file import parse_robot
from asyncvla_ros.types import ContractError
from support.contracts import contract_data, with_value

LIMITS = {"position": [-1, 1], "velocity": 1, "acceleration": 4.0, "jerk": 40}
JOINT = "action/dofs/0/limits"


def _parsed(robot: str, path: str, limits: dict[str, Any]):
    return parse_robot(with_value(contract_data(robot), path, limits), "robot").dofs


def test_a_stop_and_a_following_error():
    limits = {**LIMITS, "stop": {"acceleration": 8, "jerk": 40.0}, "following_error": 0.2}
    first, second, *_ = _parsed("xarm7", JOINT, limits)
    assert (first.stop_acceleration, first.stop_jerk, first.following_error) == (8.0, 40.0, 0.2)
    assert (second.stop_acceleration, second.following_error) == (20.0, None)


def test_one_limit_of_a_stop_is_enough():
    first = _parsed("xarm7", JOINT, {**LIMITS, "stop": {"jerk": 80}})[0]
    assert (first.stop_acceleration, first.stop_jerk) == (None, 80.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop": {"acceleration": 3}}, r"limits.stop.acceleration: expected 4 or more, .* found 3"),
        ({"stop": {"acceleration": 8, "jerk": 39}}, r"limits.stop.jerk: expected 40 or more, .* found 39"),
        ({"stop": {"speed": 3}}, "limits.stop: unknown key speed; the keys are acceleration, jerk"),
        ({"stop": 3}, "limits.stop: expected a mapping with the keys acceleration, jerk, found 3"),
        ({"stop": {}}, "limits.stop: expected acceleration, jerk, or both, found neither"),
        ({"stop": {"jerk": 0}}, "limits.stop.jerk: expected a number above 0"),
        ({"following_error": 0}, "limits.following_error: expected a number above 0"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(ContractError, match=message):
        _parsed("xarm7", JOINT, {**LIMITS, **changes})


def test_a_stop_is_compared_with_the_motion():
    limits = {"position": [-1, 1], "velocity": 1, "stop": {"acceleration": 3}}
    with pytest.raises(ContractError, match=r"dofs\[0\].limits.stop.acceleration: needs a limit of acceler"):
        _parsed("xarm7", JOINT, limits)


def test_only_measured_targets_have_a_following_error():
    with pytest.raises(ContractError, match=r"only for an absolute dof .*; dx is a delta per step"):
        _parsed("libero_panda", JOINT, {"step": [-1, 1], "following_error": 0.1})
    limits = {"position": [-1, 1], "following_error": 0.1}
    dof = {"name": "elsewhere", "unit": "rad", "scale": 1.0, "limits": limits}
    with pytest.raises(ContractError, match="elsewhere is no state; the states are joint1, joint2"):
        _parsed("xarm7", "action/dofs/0", dof)


def test_a_gripper_need_not_follow():
    limits = {"position": [-1, 1], "following_error": 0.1}
    with pytest.raises(ContractError, match=r"following_error: not with hold: commanded; a gripper may stop"):
        _parsed("so101", "action/dofs/5/limits", limits)
