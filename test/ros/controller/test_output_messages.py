"""Commands as robots get them, against what joint_trajectory_controller accepts; no node is started."""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from asyncvla_ros.common.transforms import pose_to_state
from asyncvla_ros.control.motion import MotionState, Path, stop_phases
from asyncvla_ros.control.output_values import OutputValues
from asyncvla_ros.control.types import Command
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.robot.contract import Dof, Output, RobotContract
from asyncvla_ros.ros.controller import output_messages
from asyncvla_ros.types import ContractError, RunError
from support.contracts import MS, libero_panda, shipped_robot
from support.trajectory_controller import TrajectoryController

pytestmark = pytest.mark.ros

# The node clock and the steady one at the moment of a command.
NOW_NS, AT_NS = 1_800_000_000_123_456_789, 3_456_789_012_345
ARMS = ("ur5e", "franka_fr3", "so101", "widowx_250", "xarm7")


def values_of(robot: RobotContract, index: int) -> OutputValues:
    return OutputValues(robot, robot.outputs[index])


def command_of(values: np.ndarray) -> Command:
    return Command(values, None, NOW_NS, AT_NS)


def middle(robot: RobotContract) -> np.ndarray:
    """(d,) targets in the middle of the limits."""
    return np.array([(dof.minimum + dof.maximum) / 2 for dof in robot.dofs])


def stopping(robot: RobotContract, share: float, start_ns: int = AT_NS) -> Command:
    """In the middle of the limits at a share of full speed; every dof comes to rest in a time of its own."""
    paths, values = [], middle(robot)
    for place, (dof, position) in enumerate(zip(robot.dofs, values, strict=True)):
        speed = share * (dof.velocity or 1.0) / (1 + place)
        phases = stop_phases(speed, 0.0, dof.acceleration or 1.0, dof.jerk or 10.0) if speed else ()
        paths.append(Path(start_ns, MotionState(position, speed, 0.0), phases))
    return Command(values, None, NOW_NS, AT_NS, tuple(paths))


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("share", [0.0, 1.0, -0.3])
def test_every_arm_sends_trajectories_that_are_accepted(name, share):
    robot = shipped_robot(name)
    output, command = values_of(robot, 1), stopping(robot, share)
    joints, targets = output.output.joints, middle(robot)[: len(output.output.joints)]
    message = output_messages.joint_trajectory(output, command, NOW_NS)
    # Also after a while on the way: the stamp is absolute, and it lasts.
    for late_ns in (0, 5 * MS, robot.command_period_ns, 999 * MS):
        assert TrajectoryController(joints, targets, NOW_NS).accept(message, NOW_NS + late_ns) == ""
    assert to_ns(message.header.stamp) == NOW_NS
    first, last = message.points[0], message.points[-1]
    assert to_ns(first.time_from_start) == 0 and to_ns(last.time_from_start) >= 1000 * MS
    assert first.positions == pytest.approx(targets)
    assert [np.sign(speed) for speed in first.velocities] == [np.sign(share)] * len(joints)
    assert not np.any(last.velocities) and not np.any(last.accelerations)


@pytest.mark.parametrize("late_ns", [0, 7 * MS, 300 * MS])
def test_a_controller_demands_the_motion_itself_as_soon_as_it_has_the_trajectory(late_ns):
    robot = shipped_robot("ur5e")
    output, command = values_of(robot, 1), stopping(robot, 0.5)
    controller = TrajectoryController(output.output.joints, np.full(6, 0.1), NOW_NS)
    assert (
        controller.accept(output_messages.joint_trajectory(output, command, NOW_NS), NOW_NS + late_ns) == ""
    )
    since_ns = np.arange(late_ns, 1_500 * MS, MS)
    paths = [path.states(AT_NS + since_ns)[:, 0] for path in command.paths[:6]]
    np.testing.assert_allclose(controller.demand_many(NOW_NS + since_ns).T, paths, atol=1e-9)


def test_there_is_a_waypoint_wherever_the_jerk_of_a_joint_changes():
    robot = shipped_robot("ur5e")
    command = stopping(robot, 0.5)
    message = output_messages.joint_trajectory(values_of(robot, 1), command, NOW_NS)
    times = [AT_NS + to_ns(point.time_from_start) for point in message.points]
    assert set(times) >= {knot for path in command.paths[:6] for knot in path.knots_ns}
    for point, time_ns in zip(message.points, times, strict=True):
        states = np.array([path.at(time_ns) for path in command.paths[:6]])
        np.testing.assert_allclose([point.positions, point.velocities, point.accelerations], states.T)


def test_a_first_command_gives_the_arm_time_to_come():
    robot = shipped_robot("ur5e")
    output, command = values_of(robot, 1), stopping(robot, 0.0, AT_NS + 400 * MS)
    message = output_messages.joint_trajectory(output, command, NOW_NS)
    assert [to_ns(point.time_from_start) for point in message.points] == [400 * MS, 1000 * MS]
    start, goal = middle(robot)[:6] + 0.1, middle(robot)[:6]
    controller = TrajectoryController(output.output.joints, start, NOW_NS)
    assert controller.accept(message, NOW_NS + 3 * MS) == ""
    way = controller.demand_many(NOW_NS + np.arange(3, 500) * MS) - goal
    np.testing.assert_allclose(way[[0, -100]], [[0.1] * 6, [0.0] * 6], atol=1e-9)
    assert np.diff(way, axis=0).max() <= 1e-12, "straight there"


SPOILED = {
    "joints: expected": lambda m: m.joint_names.pop(),
    "empty": lambda m: m.points.clear(),
    "the last velocity is not zero": lambda m: m.points.pop(),
    "its times do not increase": lambda m: setattr(
        m.points[1], "time_from_start", m.points[0].time_from_start
    ),
    "sizes differ": lambda m: m.points[0].positions.pop(),
    "effort without": lambda m: setattr(m.points[0], "effort", [0.0]),
    "it ends in the past": lambda m: setattr(m.header.stamp, "sec", 1),
}


@pytest.mark.parametrize("reason", SPOILED)
def test_the_double_refuses_what_the_controller_refuses(reason):
    robot = shipped_robot("ur5e")
    output = values_of(robot, 1)
    message = output_messages.joint_trajectory(output, stopping(robot, 1.0), NOW_NS)
    spoiled = copy.deepcopy(message)
    SPOILED[reason](spoiled)
    controller = TrajectoryController(output.output.joints, middle(robot)[:6], NOW_NS)
    assert controller.accept(spoiled, NOW_NS).startswith(reason)
    assert controller.accept(message, NOW_NS) == ""


def test_a_target_that_is_not_tracked_is_reached_within_a_control_step():
    robot = shipped_robot("ur5e")
    robot = replace(robot, dofs=tuple(replace(dof, velocity=None) for dof in robot.dofs))
    output = values_of(robot, 1)
    values = middle(robot) + 0.1
    message = output_messages.joint_trajectory(output, Command(values, None, NOW_NS, AT_NS), NOW_NS)
    (point,) = message.points
    assert to_ns(point.time_from_start) == robot.action_period_ns and not np.any(point.velocities)
    controller = TrajectoryController(output.output.joints, middle(robot)[:6], NOW_NS)
    assert controller.accept(message, NOW_NS) == ""
    assert controller.demand(NOW_NS + robot.action_period_ns) == pytest.approx(values[:6])


def test_a_robot_that_arrives_is_not_told_twice():
    robot = shipped_robot("ur5e")
    output = values_of(robot, 1)
    arriving = stopping(robot, 0.0, AT_NS + 400 * MS)
    assert not output.is_repeated(arriving)
    assert not output.is_repeated(arriving), "it was not told yet"
    output.note_sent(arriving)
    assert output.is_repeated(replace(arriving, at_ns=AT_NS + 20 * MS))
    elsewhere = stopping(robot, 0.0, AT_NS + 500 * MS)
    assert not output.is_repeated(replace(elsewhere, at_ns=AT_NS + 40 * MS)), "it begins elsewhere now"
    output.note_sent(elsewhere)
    assert not output.is_repeated(replace(elsewhere, at_ns=AT_NS + 500 * MS)), "it is there"


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


def test_a_gripper_moved_by_a_trajectory_gets_its_motion_in_meters():
    robot = shipped_robot("widowx_250")
    path = Path(AT_NS, MotionState(0.5, 1.0, 2.0), stop_phases(1.0, 2.0, 4.0, 40.0))
    command = Command(np.full(len(robot.dofs), 0.5), None, NOW_NS, AT_NS, (None,) * 5 + (path,))
    message = output_messages.joint_trajectory(values_of(robot, 2), command, NOW_NS)
    assert message.joint_names == ["left_finger"]
    first = message.points[0]
    assert [*first.positions, *first.velocities, *first.accelerations] == pytest.approx(
        [0.0205, -0.011, -0.022]
    )
    assert TrajectoryController(["left_finger"], np.zeros(1), NOW_NS).accept(message, NOW_NS) == ""


def test_forward_commands():
    robot = shipped_robot("so101")
    arm = OutputValues(robot, Output("forward_position", "t", ("wrist_roll", "shoulder_pan"), ("a", "b")))
    message = output_messages.forward_position(arm, command_of(np.arange(6) / 10), NOW_NS)
    assert list(message.data) == pytest.approx([0.4, 0.0]), "in the output's order"
    deltas = replace(
        robot,
        action_hz=10.0,
        dofs=tuple(Dof(f"d{i}", "rad", 1.0, is_delta=True, minimum=-0.1, maximum=0.1) for i in range(2)),
    )
    output = OutputValues(deltas, Output("forward_velocity", "t", ("d0", "d1"), ("d0", "d1")))
    moving = output_messages.forward_velocity(output, command_of(np.array([0.05, -0.02])), NOW_NS)
    assert list(moving.data) == pytest.approx([0.5, -0.2])
    assert list(output_messages.forward_velocity(output, command_of(np.zeros(2)), NOW_NS).data) == [0, 0]


def test_a_twist_is_the_change_per_step_over_the_step():
    robot = libero_panda()
    output = OutputValues(robot, Output("twist", "t", robot.dof_names[:6], robot.dof_names[:6]))
    values = np.array([0.05, 0, -0.01, 0.1, 0, -0.5, 1.0], np.float32)
    message = output_messages.twist(output, command_of(values), NOW_NS)
    linear, angular = message.twist.linear, message.twist.angular
    assert [linear.x, linear.y, linear.z] == pytest.approx([1.0, 0, -0.2])
    assert [angular.x, angular.y, angular.z] == pytest.approx([2.0, 0, -10.0])
    assert message.header.frame_id == "panda_link0" and to_ns(message.header.stamp) == NOW_NS


def test_a_pose_is_what_the_state_would_read():
    names = libero_panda().state_names[:9]
    dofs = tuple(Dof(name, "m", 1.0, is_delta=False, minimum=-1.0, maximum=1.0) for name in names)
    robot = replace(libero_panda(), action_space="ee_pose", dofs=dofs)
    output = OutputValues(robot, Output("pose", "t", names, names))
    quat = np.array([0.1, -0.7, 0.3, 0.6])
    quat /= np.linalg.norm(quat)
    state = pose_to_state(np.array([0.4, 0.1, 0.3]), quat)
    # A network's columns are neither of unit length nor at right angles.
    state[3:6] *= 1.2
    state[6:9] += 0.1 * state[3:6]
    message = output_messages.pose(output, command_of(state), NOW_NS)
    q = message.pose.orientation
    assert [q.x, q.y, q.z, q.w] == pytest.approx(quat, abs=1e-6)
    assert message.pose.position.z == pytest.approx(0.3)
    with pytest.raises(RunError, match="no pose to command: expected two finite, independent columns"):
        output_messages.pose(output, command_of(np.zeros(9)), NOW_NS)


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
