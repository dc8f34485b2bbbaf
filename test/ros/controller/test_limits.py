"""Limits that a robot description and the operator tighten."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.types import Mode, Reason
from support.controller_rig import ControllerRig
from support.fake_arm import ACCELERATION, demanded, write_contract

pytestmark = pytest.mark.ros

URDF = """<robot name="two_joints">
  <link name="base"/><link name="upper"/><link name="fore"/><link name="tip"/>
  <joint name="joint_1" type="revolute">
    <parent link="base"/><child link="upper"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" velocity="0.5" effort="1"/>
  </joint>
  <joint name="joint_2" type="revolute">
    <parent link="upper"/><child link="fore"/><origin xyz="0.5 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" velocity="0.5" effort="1"/>
  </joint>
  <joint name="flange" type="fixed"><parent link="fore"/><child link="tip"/><origin xyz="0.4 0 0"/></joint>
</robot>"""
# How far the tip is from the first joint while the second one is at -0.5 rad [m].
REACH = abs(0.5 + 0.4 * np.exp(-0.5j))


def test_the_description_tightens_the_limits_until_the_arm_rests(start_node, arm, ros_client, tmp_path):
    urdf = tmp_path / "two_joints.urdf"
    urdf.write_text(URDF)
    params = {"robot": write_contract(tmp_path), "urdf": urdf, "silence_timeout_s": 60.0}
    node = start_node("controller_node", params={"autostart": True, "discovery_s": 0.0, **params})
    rig = ControllerRig(ros_client)
    rig.expect(Mode.IDLE)
    rig.move(3.0, 0.5, until=0.3)
    assert node.stop() == 0
    rig.expect(Mode.IDLE, Reason.INACTIVE)
    assert not arm.refusals
    _, demand = demanded(arm.received.messages)
    assert 0.48 < np.abs(np.diff(demand, axis=0)).max() * 1e3 < 0.5005, "less than the contract permits"
    # Every trajectory joins the one before, the last ones too.
    assert np.abs(np.diff(demand, 2, axis=0)).max() * 1e6 < 1.01 * ACCELERATION
    last = arm.received.messages[-1]
    assert len({tuple(point.positions) for point in last.points}) == 1, "the last command stands still"
    assert rig.commands.messages[-1].source == ActionCommand.SOURCE_HOLD


def test_the_description_on_a_topic_counts_as_a_urdf(start_node, ros_client, tmp_path):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    description = ros_client.node.create_publisher(String, "robot_description", latched)
    description.publish(String(data=URDF.replace("joint_1", "another_joint")))
    node = start_node(
        "controller_node", params={"robot": write_contract(tmp_path), "urdf_topic": "robot_description"}
    )
    assert not ros_client.transition("controller", "configure")
    node.wait_for_output("is joint joint_1, which the URDF does not move; its joints are another_joint")
    description.publish(String(data=URDF))
    assert ros_client.transition("controller", "configure")


def tool_speed(message: JointTrajectory) -> float:
    """Where the second joint stays at -0.5 rad [m/s]."""
    return abs(message.points[0].velocities[0]) * REACH


def test_reduced_mode_needs_a_guard(start_controller, arm, ros_client):
    start_controller()
    rig = ControllerRig(ros_client)
    rig.begin()
    answer = rig.set_parameter("reduced_mode", value=True)
    assert not answer.successful
    assert "a tool speed of 0.25 m/s needs the contract's guard (tool, tool_speed)" in answer.reason
    rig.move(2.0, 0.0)


def test_a_controller_does_not_start_in_a_reduced_mode_it_cannot_keep(start_controller, ros_client, capfd):
    start_controller(reduced_mode=True)
    assert not ros_client.transition("controller", "configure")
    assert "cannot configure: robot two_joints: a tool speed of 0.25 m/s needs" in capfd.readouterr().err


def test_reduced_mode_slows_the_tool_while_it_moves(start_controller, arm, ros_client, tmp_path):
    urdf = tmp_path / "two_joints.urdf"
    urdf.write_text(URDF.replace('0.5" effort', '1" effort'))
    robot = write_contract(tmp_path, guard={"tool": "tip", "tool_speed": 1.0})
    start_controller(robot, urdf=urdf)
    rig = ControllerRig(ros_client)
    rig.begin()
    rig.move(-3.0, -0.5)
    arm.received.wait(where=lambda m: tool_speed(m) > 0.6)
    assert rig.set_parameter("reduced_mode", value=True).successful
    arm.received.clear()
    arm.received.wait(where=lambda m: tool_speed(m) < 0.1)
    arm.received.clear()
    arm.received.wait(20, where=lambda m: tool_speed(m) > 0.2)
    assert max(tool_speed(message) for message in arm.received.messages) < 0.2501
    assert rig.set_parameter("reduced_tool_speed", 0.1).successful
    arm.received.clear()
    arm.received.wait(where=lambda m: tool_speed(m) < 0.1001)
    assert rig.set_parameter("reduced_mode", value=False).successful
    arm.received.clear()
    arm.received.wait(where=lambda m: tool_speed(m) > 0.4)
    rig.expect(Mode.TRACKING)
    assert not arm.refusals
