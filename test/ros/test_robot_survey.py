"""What a look at a running robot finds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros.robot_survey import survey_robot
from support.contracts import libero_panda
from support.fake_arm import ARM_TOPIC, FakeArm, write_contract
from support.fake_robot import SENSORS, FakeRobot, joint_message

pytestmark = pytest.mark.ros


def looks(robot, seconds=1.5):
    return {look.name: look for look in survey_robot(robot, "best_effort", seconds)}


def test_a_robot_that_runs_is_described(ros_client):
    peer = FakeRobot(ros_client)
    peer.start(hz=40.0)
    found = looks(libero_panda())
    assert [name for name, look in found.items() if look.is_fault or look.is_doubtful] == []
    assert found["agentview"].text.startswith("agentview/image_raw: ")
    assert "Hz, 224x224 rgb8, stamped " in found["agentview"].text
    assert "Hz, 2 numbers, stamped " in found["joint_states"].text


def test_everything_wrong_is_named(ros_client):
    ros_client.node.create_publisher(CompressedImage, "wrist/image_raw", SENSORS)
    late = ros_client.node.create_publisher(JointState, "joint_states", SENSORS)
    now_ns = ros_client.node.get_clock().now().nanoseconds
    ros_client.node.create_timer(0.05, lambda: late.publish(joint_message(now_ns - 3_600 * 10**9)))
    found = looks(libero_panda())
    assert found["agentview"].text == "agentview/image_raw: nothing in 1.5 s; nobody publishes it"
    assert (
        "is published as sensor_msgs/msg/CompressedImage, expected sensor_msgs/msg/Image"
        in found["wrist"].text
    )
    assert "expected within 0.5 s: do the clocks agree" in found["joint_states"].text
    assert all(found[name].is_fault for name in ("agentview", "wrist", "ee_pose", "joint_states"))


def test_a_state_without_a_joint_is_a_fault(ros_client):
    part = ros_client.node.create_publisher(JointState, "joint_states", SENSORS)
    ros_client.node.create_timer(0.05, lambda: part.publish(JointState(name=["a"], position=[0.0])))
    look = looks(libero_panda())["joint_states"]
    assert look.is_fault and "position of panda_finger_joint1, panda_finger_joint2 is missing" in look.text


def test_who_obeys_and_who_commands_is_named(ros_client, tmp_path):
    robot = load_robot(write_contract(tmp_path))
    assert looks(robot)[ARM_TOPIC].text == "nobody listens: is the driver running?"
    ros_client.node.create_publisher(JointTrajectory, ARM_TOPIC, 1)
    with FakeArm((0.5, -0.5)) as arm:
        arm.listen()
        # Longer than the time between two announcements of a node.
        look = looks(robot, seconds=4.0)[ARM_TOPIC]
    assert look.text == "obeyed by /arm; commanded by /test_client" and look.is_doubtful and not look.is_fault


def test_a_state_slower_than_the_policy_is_doubtful(ros_client):
    FakeRobot(ros_client).start(hz=10.0)
    robot = replace(libero_panda(), action_hz=20.0)
    look = looks(robot)["joint_states"]
    assert look.is_doubtful and look.text.endswith("expected 20 Hz or more")
