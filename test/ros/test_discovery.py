"""``asyncvla new-robot --live`` in a process of its own; the test plays the robot."""

from __future__ import annotations

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.robot.contract_file import load_robot
from support.drafts import filled_in
from support.fake_robot import FakeRobot
from support.urdf import URDF

pytestmark = pytest.mark.ros


def new_robot(start_process, out, *options: str):
    return start_process("-m", "asyncvla_ros.cli", "new-robot", "arm", "--live", "--out", str(out), *options)


def test_a_live_robot_becomes_a_contract(start_process, ros_client, tmp_path):
    robot = FakeRobot(ros_client)
    robot.start()
    ros_client.subscribe(JointTrajectory, "/arm_controller/joint_trajectory")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    description = ros_client.node.create_publisher(String, "/robot_description", latched)
    out = tmp_path / "arm.yaml"
    process = new_robot(start_process, out, "--wait", "60")
    process.wait_for_output("fill in")
    out.write_text(filled_in(out.read_text()))
    found = load_robot(out)
    assert {camera.topic for camera in found.cameras} == {"/agentview/image_raw", "/wrist/image_raw"}
    assert [camera.key for camera in found.cameras] == ["agentview", "wrist"]
    assert found.state[0].topic == "/joint_states"
    assert found.dof_names[:2] == ("panda_joint1", "panda_joint2") and len(found.dofs) == 9
    assert found.outputs[1].topic == "/arm_controller/joint_trajectory"

    description.publish(String(data=URDF))
    again = tmp_path / "again.yaml"
    new_robot(start_process, again, "--wait", "60").wait_for_output("fill in")
    again.write_text(filled_in(again.read_text()))
    # None of its joints is published: those of the description are named.
    assert load_robot(again).dof_names == ("shoulder", "elbow", "wrist", "finger_joint")


def test_a_silent_domain_is_said(start_process, tmp_path):
    process = new_robot(start_process, tmp_path / "arm.yaml", "--wait", "0.5")
    process.wait_for_output("neither sensor_msgs/JointState nor images found in 0.5 s; are the drivers")
    assert process.process.wait(30) == 1
