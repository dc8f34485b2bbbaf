from __future__ import annotations

from typing import Any

import pytest

from asyncvla_ros.robot.contract import LAG_S, DriverState, EnableSwitch, GuardedFrame, Plane, ToolLimits
from asyncvla_ros.robot.contract_file import parse_robot
from asyncvla_ros.types import ContractError
from support.contracts import contract_data, with_value

BOX = [[-0.8, 0.8], [-0.8, 0.8], [0.02, 1.2]]
PLANE = {"normal": [0, 0, 2], "offset": 0.02}
RUNNING = {"topic": "/running", "type": "std_msgs/msg/Bool", "ready": [True]}
MODE = {"topic": "/mode", "type": "ur_dashboard_msgs/msg/SafetyMode", "field": "mode", "ready": [1, 2]}


def _parse(robot: str = "xarm7", **changes: Any):
    data = contract_data(robot)
    data.pop("driver_state", None)
    return parse_robot({**data, **changes}, "robot")


def _guard(**changes: Any) -> dict[str, Any]:
    return {"tool": "tool0", "tool_speed": 1.0, "frames": [{"link": "tool0", "box": BOX}], **changes}


def _frame(**changes: Any) -> dict[str, Any]:
    return _guard(frames=[{"link": "tool0", **changes}])


def test_everything_is_optional():
    robot = _parse("so101")
    assert (robot.lag_s, robot.driver_states, robot.enable, robot.guard) == (LAG_S, (), None, None)


def test_what_there_may_be():
    frame = {"link": "wrist", "box": BOX, "planes": [PLANE, {"normal": [3, 4, 0], "offset": -1}]}
    robot = _parse(
        lag_s=0.4,
        driver_state=[RUNNING, MODE, {**MODE, "field": "other", "ready": [0]}],
        enable={"topic": "~/enable", "timeout_s": 0.5},
        guard={"tool": "tool0", "tool_speed": 1, "frames": [frame]},
    )
    assert robot.lag_s == 0.4
    assert robot.driver_states == (
        DriverState("/running", "std_msgs/msg/Bool", "data", (1,)),
        DriverState("/mode", "ur_dashboard_msgs/msg/SafetyMode", "mode", (1, 2)),
        DriverState("/mode", "ur_dashboard_msgs/msg/SafetyMode", "other", (0,)),
    )
    assert robot.enable == EnableSwitch("~/enable", 0.5)
    planes = (Plane((0.0, 0.0, 1.0), 0.02), Plane((0.6, 0.8, 0.0), -1.0))
    box = ((-0.8, 0.8), (-0.8, 0.8), (0.02, 1.2))
    assert robot.guard == ToolLimits("tool0", 1.0, (GuardedFrame("wrist", box, planes),))


def test_a_guard_of_either_kind():
    guard = _parse(guard={"tool": "tool0", "tool_speed": 0.25}).guard
    assert guard == ToolLimits("tool0", 0.25, ())
    guard = _parse(guard={"tool": "tool0", "frames": [{"link": "a", "planes": [PLANE]}]}).guard
    assert guard == ToolLimits("tool0", None, (GuardedFrame("a", None, (Plane((0, 0, 1), 0.02),)),))


DRIVER_MISTAKES = [
    ([], "driver_state: expected a list with at least one entry"),
    ([{**RUNNING, "type": "std_msgs/Bool"}], r"\[0\].type: expected PACKAGE/msg/NAME, .*'std_msgs/Bool'"),
    ([{**MODE, "field": "state.mode"}], r"\[0\].field: expected the name of one field, found 'state.mode'"),
    ([{**RUNNING, "ready": [1]}], r"\[0\].ready: a std_msgs/msg/Bool is true or false, found \[1\]"),
    ([{**MODE, "ready": [1, True]}], r"\[0\].ready: expected integers, or true and false"),
    ([{**MODE, "ready": [1.5]}], r"\[0\].ready: expected integers, or true and false, found \[1.5\]"),
    ([{**MODE, "ready": 1}], r"\[0\].ready: expected a list with at least one entry, found 1"),
    ([{**MODE, "ready": [1, 1]}], r"\[0\].ready: 1 occurs more than once"),
    ([RUNNING, {**MODE, "mode": 3}], r"\[1\]: unknown key mode; the keys are topic, type, field, ready"),
    ([MODE, MODE], "driver_state: mode of /mode occurs more than once"),
    ([MODE, {**MODE, "type": "a/msg/B", "field": "b"}], "/mode has one type, found a/msg/B and ur_dash"),
    (
        [{**MODE, "topic": "/joint_states"}],
        "topics of cameras, state, driver_state and enable: /joint_states",
    ),
]


@pytest.mark.parametrize(("states", "message"), DRIVER_MISTAKES)
def test_driver_states_that_cannot_be_are_named(states, message):
    with pytest.raises(ContractError, match=message):
        _parse(driver_state=states)


@pytest.mark.parametrize(
    ("enable", "message"),
    [
        ({"topic": "~/enable"}, "enable: the key timeout_s is missing"),
        ({"topic": "~/enable", "timeout_s": 0}, "enable.timeout_s: expected a number above 0"),
        ({"topic": "/joint_states", "timeout_s": 1}, "and enable: /joint_states occurs more than once"),
        ("~/enable", "enable: expected a mapping with the keys topic, timeout_s, found '~/enable'"),
    ],
)
def test_enable_switches_that_cannot_be_are_named(enable, message):
    with pytest.raises(ContractError, match=message):
        _parse(enable=enable)


GUARD_MISTAKES = [
    ({"tool": "tool0"}, "guard: expected tool_speed, frames, or both, found neither"),
    ({"tool_speed": 1}, "guard: the key tool is missing"),
    (_guard(tool_speed=-1), "guard.tool_speed: expected a number above 0"),
    (_guard(frames=[]), "guard.frames: expected a list with at least one entry"),
    (_guard(speed=1), "guard: unknown key speed; the keys are tool, tool_speed, frames"),
    (_frame(), r"guard.frames\[0\]: expected box, planes, or both, found neither"),
    (_frame(box=BOX[:2]), r"frames\[0\].box: expected \[minimum, maximum\] of x, y and z"),
    (_frame(box=[*BOX[:2], [1, 0]]), r"frames\[0\].box.z: expected minimum < maximum, found \[1, 0\]"),
    (_frame(planes=[{"normal": [0, 1], "offset": 0}]), r"planes\[0\].normal: expected three finite numbers"),
    (_frame(planes=[{"normal": [0, 0, 0], "offset": 0}]), r"planes\[0\].normal: expected a direction"),
    (_frame(planes=[{"normal": [0, 0, 1], "offset": "a"}]), r"offset: expected a finite number, found 'a'"),
    (
        _frame(box=BOX, planes=[PLANE, {"normal": [0, 0, 1], "offset": 1.3}]),
        r"frames\[0\].planes\[1\]: no place in the box is on its permitted side",
    ),
    (
        _guard(frames=[{"link": "a", "box": BOX}, {"link": "a", "box": BOX}]),
        "guard.frames: a occurs more than once",
    ),
]


@pytest.mark.parametrize(("guard", "message"), GUARD_MISTAKES)
def test_guards_that_cannot_be_are_named(guard, message):
    with pytest.raises(ContractError, match=message):
        _parse(guard=guard)


def test_only_tracked_targets_of_joints_are_guarded():
    with pytest.raises(ContractError, match=r"only for joint positions, .*, found delta_ee_pose"):
        _parse("libero_panda", guard=_guard())
    data = with_value(contract_data("so101"), "action/dofs/1/limits", {"position": [-1, 1]})
    data["command_hz"] = data["action_hz"]
    with pytest.raises(ContractError, match="with a velocity limit can be slowed; shoulder_lift have none"):
        parse_robot({**data, "guard": _guard()}, "robot")
