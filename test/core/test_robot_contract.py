from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import yaml

from asyncvla_ros.core.robot_contract import WorkspaceLimit, mismatches
from asyncvla_ros.core.robot_file import load_robot, parse_robot
from asyncvla_ros.paths import share_dir
from asyncvla_ros.types import CameraFeature, ContractError
from support.contracts import libero_features, libero_panda

ROBOTS = sorted((share_dir() / "config" / "robots").glob("*.yaml"))


@pytest.fixture
def data() -> dict[str, Any]:
    return yaml.safe_load((share_dir() / "config" / "robots" / "libero_panda.yaml").read_text())


@pytest.mark.parametrize("path", ROBOTS, ids=lambda path: path.stem)
def test_every_shipped_contract_loads(path):
    assert load_robot(path).name == path.stem


def test_libero_panda():
    robot = libero_panda()
    assert len(robot.state_names) == 11
    assert robot.step_ns == 50_000_000
    assert robot.scale.tolist() == pytest.approx([0.05] * 3 + [0.5] * 3 + [1.0])
    assert [dof.is_delta for dof in robot.dofs] == [True] * 6 + [False]
    assert robot.topics["wrist"] == "wrist/image_raw"
    assert mismatches(robot, libero_features()) == []


def _set(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(data)
    target: Any = changed
    *parents, last = path.split("/")
    for key in parents:
        target = target[int(key)] if key.isdigit() else target[key]
    target[last] = value
    return changed


MISTAKES = [
    ("speed", 3, "robot: unknown key speed; the keys are name, control_hz"),
    ("name", 3, "robot.name: expected a text, found 3"),
    ("control_hz", 0, r"robot.control_hz: expected a number above 0, found 0"),
    ("control_hz", "fast", r"robot.control_hz: expected a finite number, found 'fast'"),
    ("control_hz", float("nan"), "expected a finite number, found nan"),
    ("cameras", [], r"robot.cameras: expected a list with at least one entry"),
    ("cameras/0/transport", "theora", r"\[0\].transport: expected one of raw, compressed, found 'theora'"),
    ("cameras/1/key", "agentview", "cameras: agentview occurs more than once"),
    ("cameras/1/topic", "ee_pose", "topics of cameras and state: ee_pose occurs more than once"),
    ("state/0/type", "Odometry", r"state\[0\].type: expected one of JointState, PoseStamped"),
    ("state/0/names", ["x", "y"], "a PoseStamped gives 9 numbers .* found 2 names"),
    ("state/0/joints", ["a"], "a PoseStamped has no joints"),
    ("state/1/joints", ["a"], "1 joints for 2 names"),
    ("state/1/names", ["ee_x", "b"], "state: ee_x occurs more than once"),
    ("action/space", "torque", "action.space: expected one of delta_ee_pose, ee_pose"),
    ("action/space", "ee_pose", "step limits need a delta action space, found ee_pose"),
    ("action/dofs/0/unit", "inch", "unit: expected one of m, rad, normalized, found 'inch'"),
    ("action/dofs/0/scale", -1, "scale: expected a number above 0, found -1"),
    ("action/dofs/0/limits", {"step": [1, -1]}, r"expected minimum < maximum, found \[1, -1\]"),
    ("action/dofs/0/limits", {"step": [0.1, 0.2]}, "does not permit standing still"),
    ("action/dofs/0/limits", {"velocity": 1}, "expected either step .* or position"),
    ("action/dofs/0/limits", {"step": [-1, 1, 2]}, r"expected \[minimum, maximum\]"),
    ("action/dofs/0/limits", {"step": [-1, 1], "jerk": 0}, "limits.jerk: expected a number above 0"),
    ("action/dofs/1/name", "dx", "action.dofs: dx occurs more than once"),
    ("output/adapter", "magic", "output.adapter: expected one of action_command, found 'magic'"),
    ("timeouts", 3, "timeouts: expected a mapping with the keys chunk_s, observation_s, found 3"),
    ("timeouts", {"chunk_s": 1.0}, "timeouts: the key observation_s is missing; found chunk_s"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_mistakes_are_named(data, path, value, message):
    with pytest.raises(ContractError, match=message):
        parse_robot(_set(data, path, value), "robot")


def test_unreadable_files(tmp_path):
    with pytest.raises(ContractError, match="cannot read the robot contract: No such file"):
        load_robot(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(ContractError, match="no valid YAML"):
        load_robot(broken)


def test_optional_limits(data):
    limits = {"step": [-0.05, 0.05], "velocity": 1, "acceleration": 5.0, "jerk": 50}
    dof = parse_robot(_set(data, "action/dofs/0/limits", limits), "robot").dofs[0]
    assert (dof.velocity, dof.acceleration, dof.jerk) == (1.0, 5.0, 50.0)


def test_mismatches_list_expected_and_found():
    robot = libero_panda()
    names = robot.state_names
    assert mismatches(robot, libero_features(cameras=(CameraFeature("top", 224, 224),))) == [
        "cameras: the checkpoint expects top, the robot has agentview, wrist"
    ]
    assert mismatches(robot, libero_features(cameras=(CameraFeature("wrist", 64, 64),))) == []
    (order,) = mismatches(robot, libero_features(state_names=(names[1], names[0], *names[2:])))
    assert order.startswith("order of state names: the checkpoint expects 11: ee_y, ee_x")
    (dims,) = mismatches(robot, libero_features(action_names=("dx", "dy")))
    assert dims.startswith("action names: the checkpoint expects 2: dx, dy; the robot has 7: dx, dy, dz")
    both = mismatches(replace(robot, control_hz=10.0), libero_features(action_space="ee_pose"))
    assert both == [
        "action space: the checkpoint expects ee_pose, the robot has delta_ee_pose",
        "control rate: the checkpoint expects 20 Hz, the robot has 10 Hz",
    ]


def test_workspace_rates_and_ramp(data):
    limits = {"step": [-0.05, 0.05], "workspace": {"state": "ee_x", "range": [0.2, 0.7]}}
    changed = _set(_set(data, "action/dofs/0/limits", limits), "ramp_s", 1.5)
    robot = parse_robot(changed, "robot")
    assert robot.dofs[0].workspace == WorkspaceLimit("ee_x", 0.2, 0.7)
    assert (robot.ramp_s, robot.command_hz, robot.period_ns) == (1.5, None, robot.step_ns)
    gripper = {"position": [-1, 1], "velocity": 4}
    assert parse_robot(_set(data, "action/dofs/6/limits", gripper), "robot").dofs[6].velocity == 4


LIMIT_MISTAKES = [
    (
        "action/dofs/0/limits",
        {"step": [-1, 1], "acceleration": 3},
        "acceleration needs one of velocity",
    ),
    ("action/dofs/0/limits", {"step": [-1, 1], "velocity": 1, "jerk": 3}, "limit of jerk needs one of accel"),
    (
        "action/dofs/6/limits",
        {"position": [-1, 1], "workspace": {"state": "ee_x", "range": [0, 1]}},
        "only for a change per control step",
    ),
    ("command_hz", 10, r"expected control_hz \(20\) or more, found 10"),
    ("command_hz", 100, "only targets with a velocity limit .* dx, dy, dz, drx, dry, drz, gripper cannot"),
    ("ramp_s", -1, "ramp_s: expected a number above 0"),
]


@pytest.mark.parametrize(("path", "value", "message"), LIMIT_MISTAKES)
def test_mistakes_in_limits_are_named(data, path, value, message):
    with pytest.raises(ContractError, match=message):
        parse_robot(_set(data, path, value), "robot")
