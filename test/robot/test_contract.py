from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncvla_ros.control.controller import Controller
from asyncvla_ros.paths import share_dir
from asyncvla_ros.robot.contract import WorkspaceLimit
from asyncvla_ros.robot.contract_file import load_robot, parse_robot
from asyncvla_ros.robot.mismatches import mismatches
from asyncvla_ros.robot.stops import stops
from asyncvla_ros.types import CameraFeature, ContractError
from support.contracts import contract_data, libero_features, libero_panda, with_value

ROBOTS = sorted((share_dir() / "config" / "robots").glob("*.yaml"))


@pytest.fixture
def data() -> dict[str, Any]:
    return contract_data("libero_panda")


@pytest.mark.parametrize("path", ROBOTS, ids=lambda path: path.stem)
def test_every_shipped_contract_loads(path):
    robot = load_robot(path)
    assert robot.name == path.stem
    assert parse_robot(yaml.safe_load(path.read_text()), path.name) == robot
    carried = list(dict.fromkeys(name for output in robot.outputs[1:] for name in output.dofs))
    assert carried in ([], list(robot.dof_names)), "every dof leaves by one output beside action_command"
    assert robot.outputs[0].adapter == "action_command", "for bags"


@pytest.mark.parametrize("path", ROBOTS, ids=lambda path: path.stem)
def test_limits_of_shipped_arms_are_sane(path):
    robot = load_robot(path)
    for dof in robot.dofs:
        if dof.unit == "normalized" or dof.is_delta:
            continue
        assert dof.velocity and dof.acceleration and dof.jerk, f"{dof.name}: a real joint has all limits"
        assert -2 * np.pi <= dof.minimum < dof.maximum <= 2 * np.pi
        assert 0.5 <= dof.velocity <= 2 * np.pi <= 2 * dof.jerk
        assert dof.velocity <= dof.acceleration <= dof.jerk
        assert (dof.stop_acceleration or 0) >= dof.acceleration, f"{dof.name}: an emergency stop is no weaker"
        assert (dof.stop_jerk or 0) >= dof.jerk
        # Between two control steps the arm cannot cross its range.
        assert dof.velocity / robot.action_hz < dof.maximum - dof.minimum
    arm = [dof for dof in robot.dofs if dof.unit == "rad" and not dof.is_delta and dof.name != "gripper"]
    assert {dof.name for dof in arm} <= set(robot.state_names), "a hold needs the measured position"


def test_a_gripper_is_never_held_where_it_is_measured():
    for path in ROBOTS:
        robot = load_robot(path)
        gripper = robot.dofs[robot.dof_names.index("gripper")]
        assert gripper.holds_command or "gripper" not in robot.state_names, path.stem


def test_libero_panda():
    robot = libero_panda()
    assert len(robot.state_names) == 11
    assert robot.action_period_ns == 50_000_000
    assert robot.scale.tolist() == pytest.approx([0.05] * 3 + [0.5] * 3 + [1.0])
    assert [dof.is_delta for dof in robot.dofs] == [True] * 6 + [False]
    assert robot.topics["wrist"] == "wrist/image_raw"
    assert mismatches(robot, libero_features()) == []


MISTAKES = [
    ("speed", 3, "robot: unknown key speed; the keys are name, action_hz"),
    ("name", 3, "robot.name: expected a text, found 3"),
    ("action_hz", 0, r"robot.action_hz: expected a number above 0, found 0"),
    ("action_hz", "fast", r"robot.action_hz: expected a finite number, found 'fast'"),
    ("action_hz", float("nan"), "expected a finite number, found nan"),
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
    ("outputs", [], "outputs: expected a list with at least one entry"),
    ("outputs/0/adapter", "magic", r"outputs\[0\].adapter: expected one of action_command, joint_traj"),
    ("outputs/0/joints", ["a"], r"\(action_command\): unknown key joints; the keys are adapter, topic"),
    ("outputs/0/speed", 1, r"outputs\[0\]: unknown key speed"),
    ("timeouts", 3, "timeouts: expected a mapping with the keys chunk_s, observation_s, found 3"),
    ("timeouts", {"chunk_s": 1.0}, "timeouts: the key observation_s is missing; found chunk_s"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_mistakes_are_named(data, path, value, message):
    with pytest.raises(ContractError, match=message):
        parse_robot(with_value(data, path, value), "robot")


JOINT_MISTAKES = [
    ("outputs/1/dofs", ["joint1"], "outputs: dof joint2 is carried by 0 outputs beside action_command"),
    ("outputs/2/dofs", ["joint1"], "outputs: dof joint1 is carried by 2 outputs"),
    ("outputs/1/dofs", ["joint9"], "unknown joint9; the dofs are joint1, joint2"),
    ("outputs/1/joints", ["a"], r"outputs\[1\] \(joint_trajectory\): 1 joints for 7 dofs"),
    ("outputs/1/travel", [0, 1], "travel: expected one dof, found 7"),
    ("outputs/2/travel", [0.5, 0.5], "travel: expected two different numbers, found 0.5 twice"),
    ("outputs/2/travel", [0.5], "travel: expected two numbers"),
    ("outputs/2/dofs", ["joint1", "gripper"], "expected 1 dofs: the opening; found 2 of joint_position"),
    ("outputs/2/max_effort", 0, "max_effort: expected a number above 0"),
    ("outputs/1", {"adapter": "forward_velocity", "topic": "v"}, "expected deltas .*are absolute actions"),
    ("outputs/1", {"adapter": "pose", "topic": "p"}, "expected 9 dofs of the action space ee_pose"),
    ("outputs/1", {"adapter": "twist", "topic": "t"}, "expected 6 dofs of the action space delta_ee_pose"),
]


@pytest.mark.parametrize(("path", "value", "message"), JOINT_MISTAKES)
def test_outputs_that_cannot_be_are_named(path, value, message):
    data = contract_data("xarm7")
    with pytest.raises(ContractError, match=message):
        parse_robot(with_value(data, path, value), "robot")


def test_deltas_are_no_absolute_actions(data):
    trajectory = {"adapter": "joint_trajectory", "topic": "t"}
    with pytest.raises(
        ContractError, match=r"expected absolute actions .*; dx, dy, dz, drx, dry, drz are deltas"
    ):
        parse_robot(with_value(data, "outputs/0", trajectory), "robot")


def test_a_twist_and_a_gripper_share_the_work(data):
    twist = {"adapter": "twist", "topic": "t", "dofs": ["dx", "dy", "dz", "drx", "dry", "drz"]}
    gripper = {"adapter": "forward_position", "topic": "g", "dofs": ["gripper"], "travel": [0.04, 0]}
    robot = parse_robot({**data, "outputs": [twist, gripper]}, "robot")
    assert [output.adapter for output in robot.outputs] == ["twist", "forward_position"]
    assert robot.outputs[1].travel == (0.04, 0.0)


def test_a_contract_with_blanks_says_where(tmp_path):
    blank = tmp_path / "new.yaml"
    blank.write_text("name: new\ncontrol_hz: FILL_IN # of the checkpoint\n# FILL_IN\nbase_frame: FILL_IN\n")
    with pytest.raises(ContractError, match="not filled in yet: FILL_IN in line 2, 4"):
        load_robot(blank)


def test_unreadable_files(tmp_path):
    with pytest.raises(ContractError, match="cannot read the robot contract: No such file"):
        load_robot(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(ContractError, match="no valid YAML"):
        load_robot(broken)


def test_optional_limits(data):
    limits = {"step": [-0.05, 0.05], "velocity": 1, "acceleration": 5.0, "jerk": 50}
    dof = parse_robot(with_value(data, "action/dofs/0/limits", limits), "robot").dofs[0]
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
    both = mismatches(replace(robot, action_hz=10.0), libero_features(action_space="ee_pose"))
    assert both == [
        "action space: the checkpoint expects ee_pose, the robot has delta_ee_pose",
        "control rate: the checkpoint expects 20 Hz, the robot has 10 Hz",
    ]


def test_workspace_rates_and_ramp(data):
    limits = {"step": [-0.05, 0.05], "workspace": {"state": "ee_x", "range": [0.2, 0.7]}}
    changed = with_value(with_value(data, "action/dofs/0/limits", limits), "ramp_s", 1.5)
    robot = parse_robot(changed, "robot")
    assert robot.dofs[0].workspace == WorkspaceLimit("ee_x", 0.2, 0.7)
    assert (robot.ramp_s, robot.command_hz, robot.command_period_ns) == (1.5, None, robot.action_period_ns)
    gripper = {"position": [-1, 1], "velocity": 4}
    assert parse_robot(with_value(data, "action/dofs/6/limits", gripper), "robot").dofs[6].velocity == 4


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
        "only for a delta per control step",
    ),
    (
        "action/dofs/0/limits",
        {"step": [-1, 1], "workspace": {"state": "elsewhere", "range": [0, 1]}},
        "workspace.state: expected one of ee_x, ee_y, .*, found 'elsewhere'",
    ),
    ("command_hz", 10, r"expected action_hz \(20\) or more, found 10"),
    (
        "command_hz",
        100,
        "only absolute actions with a velocity limit, .* dx, dy, dz, drx, dry, drz, gripper cannot",
    ),
    ("ramp_s", -1, "ramp_s: expected a number above 0"),
    ("lag_s", 0, "lag_s: expected a number above 0"),
]


@pytest.mark.parametrize(("path", "value", "message"), LIMIT_MISTAKES)
def test_mistakes_in_limits_are_named(data, path, value, message):
    with pytest.raises(ContractError, match=message):
        parse_robot(with_value(data, path, value), "robot")


@pytest.mark.parametrize(
    "topic", ["wrist camera/image", "/2nd/image", "image//raw", "image/", "/", "é", "a-b"]
)
def test_a_topic_that_ros_refuses_is_refused(data, topic):
    with pytest.raises(ContractError, match=r"cameras.0..topic: expected a topic such as wrist/image_raw"):
        parse_robot(with_value(data, "cameras/0/topic", topic), "arm.yaml")


def leaves(value: Any, path: str = "") -> list[str]:
    """Paths of everything in parsed YAML."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [leaf for key, item in items for leaf in leaves(item, f"{path}/{key}".lstrip("/"))]
    return [path, *below] if path else below


SHIPPED = {path.stem: contract_data(path.stem) for path in ROBOTS}
ODD: list[Any] = [
    None,
    "",
    "x",
    0,
    -1,
    1e-9,
    1e12,
    float("nan"),
    float("inf"),
    True,
    [],
    [0],
    [1, 0],
    ["a", "a"],
]
ODD += [{}, {"a": 1}, "~/x", "joint_position", 2**70, [0.0, 1e400], {1: 2}, [[1, 2], [3, 4]], "2026-01-01"]


@settings(max_examples=500, derandomize=True, deadline=None)
@given(st.data())
def test_whatever_a_contract_says(drawn):
    data = SHIPPED[drawn.draw(st.sampled_from(sorted(SHIPPED)))]
    for _ in range(drawn.draw(st.integers(1, 3))):
        data = with_value(data, drawn.draw(st.sampled_from(leaves(data))), drawn.draw(st.sampled_from(ODD)))
    try:
        robot = parse_robot(data, "arm.yaml")
    except ContractError as error:
        assert str(error).startswith("arm.yaml")
    else:
        for use in (stops, Controller):
            try:
                use(robot)
            except ContractError as error:
                assert str(error)
