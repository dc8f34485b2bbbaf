"""A node that declares the parameters of a joint_trajectory_controller, asked over ROS."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.ros.controller.driver_parameters import check_trajectory_controllers
from support.contracts import shipped_robot
from support.ros_client import RosClient

pytestmark = pytest.mark.ros

ARM = shipped_robot("ur5e")
JOINTS = next(output.joints for output in ARM.outputs if output.adapter == "joint_trajectory")
NODE = "scaled_joint_trajectory_controller"
# As ur_controllers.yaml has them, without the tolerances.
UR = {
    "joints": list(JOINTS),
    "command_interfaces": ["position"],
    "state_interfaces": ["position", "velocity"],
    "allow_partial_joints_goal": False,
    "constraints.stopped_velocity_tolerance": 0.2,
    "constraints.goal_time": 0.0,
}
TIMEOUT_S = 30.0


@pytest.fixture
def check(ros_domain):
    """Judge a node with these parameters added to those of ``UR``; None: it has no such parameter."""

    def check(name: str = NODE, robot: RobotContract = ARM, **changes: object):
        with RosClient(name) as driver:
            for key, value in {**UR, **{k.replace("__", "."): v for k, v in changes.items()}}.items():
                if value is not None:
                    driver.node.declare_parameter(key, value)
            return check_trajectory_controllers(robot, driver.node.resolve_topic_name, TIMEOUT_S)

    return check


def test_the_parameters_that_ur_ships_are_fine_unless_the_contract_permits_more(check):
    assert check() == ([], [])
    tolerances = {f"constraints__{joint}__trajectory": 0.2 for joint in JOINTS}
    assert check(**tolerances) == ([], [])
    robot = replace(ARM, dofs=tuple(replace(dof, following_error=None) for dof in ARM.dofs))
    warnings, refusals = check(robot=robot, **tolerances)
    assert refusals == []
    (warning,) = warnings
    assert warning.startswith(
        "/scaled_joint_trajectory_controller: constraints.JOINT.trajectory is less than"
    )
    assert "shoulder_pan_joint (0.2, following error 0.314), shoulder_lift_joint" in warning
    assert "set constraints.JOINT.trajectory: 0.0" in warning
    assert check(robot=robot, **dict.fromkeys(tolerances, 0.4)) == ([], [])


@pytest.mark.parametrize("value", (True, False))
def test_what_does_not_matter_is_not_mentioned(check, value):
    assert check(
        allow_nonzero_velocity_at_trajectory_end=value,
        interpolate_from_desired_state=value,
        open_loop_control=value,
        allow_partial_joints_goal=value,
        cmd_timeout=0.5 * value,
        constraints__goal_time=0.6 * value,
        allow_trajectory_replacement=False,
        interpolation_method="splines",
    ) == ([], [])


def test_the_order_of_joints_does_not_matter_but_all_of_them_do(check):
    assert check(joints=list(reversed(JOINTS))) == ([], [])
    _, (refusal,) = check(joints=[*JOINTS, "rail_joint"])
    assert f"its joints are {', '.join(JOINTS)}, rail_joint, the contract sends" in refusal
    assert "it would refuse every trajectory" in refusal
    _, (partial,) = check(joints=[*JOINTS, "rail_joint"], allow_partial_joints_goal=True)
    assert "hold the other joints wherever they are measured" in partial
    _, (other,) = check(joints=[f"left_{joint}" for joint in JOINTS], allow_partial_joints_goal=True)
    assert "left_elbow_joint" in other and "refuse every trajectory" in other


@pytest.mark.parametrize(
    ("changes", "expected"),
    (
        ({"state_interfaces": ["velocity"]}, "state_interfaces is [velocity]"),
        ({"state_interfaces": None}, "set state_interfaces: [position, velocity]"),
        ({"allow_trajectory_replacement": True}, "set allow_trajectory_replacement: false"),
        ({"interpolation_method": "none"}, "set interpolation_method: splines"),
    ),
)
def test_what_keeps_it_from_obeying_is_refused_with_the_line_to_set(check, changes, expected):
    warnings, (refusal,) = check(**changes)
    assert warnings == [] and refusal.startswith(f"/{NODE}: ") and expected in refusal


def test_a_controller_without_gains_is_warned_of(check):
    gains = {f"gains__{joint}__p": 3.0 for joint in JOINTS}
    assert check(command_interfaces=["velocity"], **gains) == ([], [])
    (warning,), _ = check(command_interfaces=["velocity"], **{**gains, "gains__elbow_joint__p": 0.0})
    assert "gains.JOINT.p is 0 for elbow_joint: nothing brings" in warning
    assert check(command_interfaces=["position", "velocity"]) == ([], [])


def test_a_following_error_is_one_of_the_joint_where_the_dof_has_a_travel(check):
    name = "finger_controller"
    finger = replace(ARM.dofs[0], minimum=-1.0, maximum=1.0, following_error=0.5)
    # A travel of 0.08 m for the range of 2: 0.5 are 0.02 m.
    output = Output("joint_trajectory", f"/{name}/joint_trajectory", (finger.name,), ("finger",), (0.0, 0.08))
    robot = replace(ARM, dofs=(finger,), outputs=(output,))
    assert check(name, robot, joints=["finger"], constraints__finger__trajectory=0.021) == ([], [])
    strict = {"joints": ["finger"], "constraints__finger__trajectory": 0.019}
    (warning,), _ = check(name, robot, **strict)
    assert "finger (0.019, following error 0.02)" in warning
    unwatched = replace(robot, dofs=(replace(finger, holds_command=True),))
    assert check(name, unwatched, **strict) == ([], [])


def test_a_node_that_is_no_trajectory_controller_is_a_warning(check):
    (warning,), refusals = check(joints=None)
    assert refusals == [] and "has no parameter joints" in warning


def test_a_node_that_does_not_answer_is_one_warning(ros_domain):
    warnings, refusals = check_trajectory_controllers(ARM, str, 0.1)
    assert refusals == [] and len(warnings) == 1
    assert f"/{NODE} has not said its parameters within 0.1 s" in warnings[0]


def test_without_such_an_output_nobody_is_asked(ros_domain):
    assert check_trajectory_controllers(shipped_robot("libero_panda"), str, TIMEOUT_S) == ([], [])


def test_it_can_be_called_in_a_callback_of_a_node_that_is_renamed(ros_domain):
    """The executor is busy with the callback, and the process has remappings."""
    context = rclpy.Context()
    context.init(args=["--ros-args", "-r", "__node:=controller", "-r", "__ns:=/left"])
    node = rclpy.create_node("anything", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    found = []

    def ask() -> None:
        timer.cancel()
        outputs = tuple(
            replace(output, topic=f"{NODE}/joint_trajectory")
            if output.adapter == "joint_trajectory"
            else output
            for output in ARM.outputs
        )
        robot = replace(ARM, outputs=outputs)
        found.append(check_trajectory_controllers(robot, node.resolve_topic_name, 0.1))

    try:
        timer = node.create_timer(0.01, ask)
        while not found:
            executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    assert found[0][0][0].startswith(f"/left/{NODE} has not said its parameters")
