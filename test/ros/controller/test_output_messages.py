"""Commands as robots get them, against what joint_trajectory_controller accepts; no node is started."""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from asyncvla_ros.common.transforms import pose_to_state
from asyncvla_ros.control.output_values import OutputValues
from asyncvla_ros.robot.contract import Dof, Output, RobotContract
from asyncvla_ros.ros.controller import output_messages
from asyncvla_ros.ros.conversions import to_ns
from asyncvla_ros.types import ContractError, RunError
from support.contracts import libero_panda, shipped_robot
from support.trajectory_controller import TrajectoryController

pytestmark = pytest.mark.ros

NOW_NS = 1_800_000_000_123_456_789
MS = 1_000_000


def values_of(robot: RobotContract, index: int) -> OutputValues:
    return OutputValues(robot, robot.outputs[index])


def arm_and_targets(name: str) -> tuple[OutputValues, np.ndarray]:
    """The arm's output of a shipped robot and (d,) targets in the middle of the limits."""
    robot = shipped_robot(name)
    return values_of(robot, 1), np.array([(dof.minimum + dof.maximum) / 2 for dof in robot.dofs])


ARMS = ("ur5e", "franka_fr3", "so101", "widowx_250", "xarm7")


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("speed", [None, 0.0, 1.0, -0.3])
def test_every_arm_sends_trajectories_that_are_accepted(name, speed):
    output, targets = arm_and_targets(name)
    velocity = None if speed is None else np.full(len(targets), speed)
    message = output_messages.joint_trajectory(output, targets, velocity, NOW_NS)
    controller = TrajectoryController(output.output.joints, output.position(targets), NOW_NS)
    # Also after a while on the way: the stamp is absolute.
    for late_ns in (0, 5 * MS, output.period_ns):
        assert controller.accept(message, NOW_NS + late_ns) == ""
    assert to_ns(message.header.stamp) == NOW_NS
    assert message.points[0].positions == pytest.approx(targets[: len(output.output.joints)])
    assert to_ns(message.points[0].time_from_start) == output.period_ns
    moving = np.array(message.points[0].velocities)
    assert np.all(moving == (speed or 0.0))


SPOILED = {
    "joints: expected": lambda m: m.joint_names.pop(),
    "empty": lambda m: m.points.clear(),
    "the last velocity is not zero": lambda m: m.points.pop(),
    "times do not increase": lambda m: (
        setattr(m.points[1].time_from_start, "sec", 0) or setattr(m.points[1].time_from_start, "nanosec", 1)
    ),
    "sizes differ": lambda m: m.points[0].positions.pop(),
    "effort without": lambda m: setattr(m.points[0], "effort", [0.0]),
    "ends in the past": lambda m: setattr(m.header.stamp, "sec", 1),
}


@pytest.mark.parametrize("reason", SPOILED)
def test_the_double_refuses_what_the_controller_refuses(reason):
    output, targets = arm_and_targets("ur5e")
    message = output_messages.joint_trajectory(output, targets, np.ones_like(targets), NOW_NS)
    spoiled = copy.deepcopy(message)
    SPOILED[reason](spoiled)
    controller = TrajectoryController(output.output.joints, output.position(targets), NOW_NS)
    assert controller.accept(spoiled, NOW_NS).startswith(reason)
    assert controller.accept(message, NOW_NS) == ""


def _stream(output: OutputValues, with_velocity: bool, jitter_ns: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Velocities wanted and driven at 1 kHz while targets follow a sine for two seconds, then cease."""
    d, step_s = len(output.output.joints) + 1, output.period_ns / 1e9

    def path(time_s: float) -> tuple[float, float]:
        return 0.2 * (1 - np.cos(3 * time_s)), 0.6 * np.sin(3 * time_s)

    controller = TrajectoryController(output.output.joints, np.zeros(d - 1), NOW_NS)
    driven, wanted, sent = [], [], -1
    for now_ns in range(NOW_NS, NOW_NS + 2_000 * MS, MS):
        index = (now_ns - NOW_NS) // output.period_ns
        # Commands come at a rate, but neither the timer nor the network is exact.
        late_ns = jitter_ns * (index % 3) // 2
        if index > sent and (now_ns - NOW_NS) % output.period_ns >= late_ns:
            sent = index
            position, velocity = path((now_ns - NOW_NS) / 1e9 + step_s)
            message = output_messages.joint_trajectory(
                output, np.full(d, position), np.full(d, velocity) if with_velocity else None, now_ns
            )
            assert controller.accept(message, now_ns) == ""
        driven.append(controller.sample(now_ns)[1][0])
        wanted.append(path((now_ns - NOW_NS) / 1e9)[1])
    rest = [controller.sample(now_ns + k * MS)[1][0] for k in range(1, 1500)]
    return np.array(wanted), np.array(driven + rest)


@pytest.mark.parametrize("jitter_ns", [0, 8 * MS])
def test_a_stream_with_velocities_moves_smoothly_and_brakes_when_it_ceases(jitter_ns):
    output, _ = arm_and_targets("ur5e")
    wanted, driven = _stream(output, with_velocity=True, jitter_ns=jitter_ns)
    assert np.abs(driven[: len(wanted)] - wanted).max() < 0.02
    assert np.abs(np.diff(driven)).max() < 0.0035, "no acceleration beyond that of the path and the brake"
    assert driven[-1] == 0


def test_a_stream_without_velocities_still_arrives_but_stops_at_each_target():
    output, _ = arm_and_targets("ur5e")
    _, driven = _stream(output, with_velocity=False)
    assert abs(driven[output.period_ns // MS * 7]) < 1e-9
    assert driven[-1] == 0


def test_the_brake_respects_acceleration_and_position_limits():
    robot = shipped_robot("ur5e")
    output = values_of(robot, 1)
    position, velocity = np.full(6, 1.0), np.array([3.0, 0, 0, 0, 0, 0])
    stopped, brake_ns = output.rest(position, velocity)
    assert brake_ns == pytest.approx(3.0 / 3.1415 * 1e9, rel=1e-6)
    assert stopped[0] == pytest.approx(1.0 + 3.0 * brake_ns / 2e9)
    assert output.rest(np.full(6, 3.1), np.full(6, 3.0))[0][2] == pytest.approx(3.1415)


@pytest.mark.parametrize(
    ("name", "opened", "closed"),
    [("ur5e", 0.0, 0.7929), ("franka_fr3", 0.039, 0.0), ("widowx_250", 0.037, 0.015), ("xarm7", 0.0, 0.85)],
)
def test_grippers_open_at_minus_one(name, opened, closed):
    robot = shipped_robot(name)
    gripper = values_of(robot, 2)
    values = np.zeros(len(robot.dofs), np.float32)
    for command, expected in ((-1, opened), (1, closed), (0, (opened + closed) / 2)):
        values[-1] = command
        assert gripper.position(values) == pytest.approx([expected])


def test_a_gripper_moved_by_a_trajectory_gets_its_velocity_in_metres():
    robot = shipped_robot("widowx_250")
    gripper = values_of(robot, 2)
    message = output_messages.joint_trajectory(gripper, np.zeros(6), np.ones(6), NOW_NS)
    assert message.joint_names == ["left_finger"]
    assert message.points[0].velocities == pytest.approx([-0.011])
    assert TrajectoryController(["left_finger"], np.zeros(1), NOW_NS).accept(message, NOW_NS) == ""


def test_forward_commands():
    robot = shipped_robot("so101")
    arm = OutputValues(robot, Output("forward_position", "t", ("wrist_roll", "shoulder_pan"), ("a", "b")))
    message = output_messages.forward_position(arm, np.arange(6) / 10, None, NOW_NS)
    assert list(message.data) == pytest.approx([0.4, 0.0]), "in the output's order"
    deltas = replace(
        robot,
        control_hz=10.0,
        dofs=tuple(Dof(f"d{i}", "rad", 1.0, True, -0.1, 0.1) for i in range(2)),
    )
    output = OutputValues(deltas, Output("forward_velocity", "t", ("d0", "d1"), ("d0", "d1")))
    moving = output_messages.forward_velocity(output, np.array([0.05, -0.02]), None, NOW_NS)
    assert list(moving.data) == pytest.approx([0.5, -0.2])
    assert list(output_messages.forward_velocity(output, np.zeros(2), None, NOW_NS).data) == [0, 0]


def test_a_twist_is_the_change_per_step_over_the_step():
    robot = libero_panda()
    output = OutputValues(robot, Output("twist", "t", robot.dof_names[:6], robot.dof_names[:6]))
    values = np.array([0.05, 0, -0.01, 0.1, 0, -0.5, 1.0], np.float32)
    message = output_messages.twist(output, values, None, NOW_NS)
    linear, angular = message.twist.linear, message.twist.angular
    assert [linear.x, linear.y, linear.z] == pytest.approx([1.0, 0, -0.2])
    assert [angular.x, angular.y, angular.z] == pytest.approx([2.0, 0, -10.0])
    assert message.header.frame_id == "panda_link0" and to_ns(message.header.stamp) == NOW_NS


def test_a_pose_is_what_the_state_would_read():
    names = libero_panda().state_names[:9]
    dofs = tuple(Dof(name, "m", 1.0, False, -1.0, 1.0) for name in names)
    robot = replace(libero_panda(), action_space="ee_pose", dofs=dofs)
    output = OutputValues(robot, Output("pose", "t", names, names))
    quat = np.array([0.1, -0.7, 0.3, 0.6])
    quat /= np.linalg.norm(quat)
    state = pose_to_state(np.array([0.4, 0.1, 0.3]), quat)
    # A network's columns are neither of unit length nor at right angles.
    state[3:6] *= 1.2
    state[6:9] += 0.1 * state[3:6]
    message = output_messages.pose(output, state, None, NOW_NS)
    q = message.pose.orientation
    assert [q.x, q.y, q.z, q.w] == pytest.approx(quat, abs=1e-6)
    assert message.pose.position.z == pytest.approx(0.3)
    with pytest.raises(RunError, match="no pose to command: expected two finite, independent columns"):
        output_messages.pose(output, np.zeros(9), None, NOW_NS)


def test_gripper_goals_carry_position_and_effort():
    # Stands in for the action types of control_msgs, which only robots have.
    command = SimpleNamespace(position=None, max_effort=None)
    single = SimpleNamespace(Goal=lambda: SimpleNamespace(command=command))
    goal = output_messages.gripper_goal(single, values_of(shipped_robot("franka_fr3"), 2), 0.02)
    assert (goal.command.position, goal.command.max_effort) == (0.02, 20.0)
    state = SimpleNamespace(name=[], position=[], effort=[])
    parallel = SimpleNamespace(Goal=lambda: SimpleNamespace(command=state))
    goal = output_messages.gripper_goal(parallel, values_of(shipped_robot("ur5e"), 2), 0.5)
    assert (goal.command.name, goal.command.position) == (["robotiq_85_left_knuckle_joint"], [0.5])
    assert goal.command.effort == []


def test_gripper_goals_are_those_of_control_msgs():
    pytest.importorskip("control_msgs", reason="control_msgs comes with a ROS distribution")
    for name, adapter in (("franka_fr3", "gripper_command"), ("ur5e", "parallel_gripper_command")):
        action = output_messages.gripper_action(adapter)
        goal = output_messages.gripper_goal(action, values_of(shipped_robot(name), 2), 0.02)
        assert isinstance(goal, action.Goal)


@pytest.mark.skipif(importlib.util.find_spec("control_msgs") is not None, reason="control_msgs is installed")
def test_a_missing_package_is_named_with_the_other_choices():
    with pytest.raises(ContractError, match=r"needs control_msgs/action/GripperCommand.*joint_trajectory"):
        output_messages.gripper_action("gripper_command")
