"""While nothing moves yet, status, diagnostics and log say what would keep it from moving."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, JointState

from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.ros.conversions import to_time
from support.controller_rig import ControllerRig
from support.fake_arm import JOINTS
from support.fake_robot import SENSORS

pytestmark = pytest.mark.ros
HOUR_NS = 3_600 * 10**9


@pytest.fixture
def rig(ros_client):
    return ControllerRig(ros_client)


@pytest.fixture
def reports(ros_client):
    return ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)


def said(rig, reports, words):
    """Check that status and diagnostics say the same, at level WARN."""
    rig.expect_anew(Mode.IDLE, None, words)
    reports.wait(where=lambda r: r.status[0].level == DiagnosticStatus.WARN and words in r.status[0].message)


def test_a_silent_driver_is_named_with_the_cause(start_controller, rig, reports, ros_client, capfd):
    start_controller()
    rig.begin()
    said(rig, reports, "no robot state received on joint_states; joint_states: nobody publishes it")
    ros_client.wait_until(lambda: "joint_states: nobody publishes it" in capfd.readouterr().err, "a warning")


def test_another_type_is_named(start_controller, rig, reports, ros_client):
    start_controller()
    rig.begin()
    ros_client.node.create_publisher(CompressedImage, "joint_states", SENSORS)
    kinds = "sensor_msgs/msg/CompressedImage, expected sensor_msgs/msg/JointState"
    said(rig, reports, f"joint_states: it is published as {kinds}")


def test_best_effort_does_not_fit_a_reliable_subscription(start_controller, rig, reports, ros_client):
    start_controller(sensor_reliability="reliable")
    rig.begin()
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    ros_client.node.create_publisher(JointState, "joint_states", best_effort)
    said(rig, reports, "joint_states: its publisher does not fit: Best effort publisher and reliable")


def test_without_a_clock_nothing_else_is_blamed(start_controller, rig, reports):
    start_controller(use_sim_time=True)
    rig.begin()
    said(rig, reports, "use_sim_time is true, and nobody publishes /clock")
    assert "joint_states" not in rig.status.messages[-1].reason


def test_what_a_message_lacks_and_whose_clock_it_has_is_named(start_controller, rig, reports, ros_client):
    start_controller()
    rig.begin()
    publisher = ros_client.node.create_publisher(JointState, "joint_states", SENSORS)
    ros_client.wait_until(lambda: publisher.get_subscription_count() > 0, "a listener")
    publisher.publish(JointState(name=["joint_1"], position=[0.0]))
    said(rig, reports, "joint_states: position of joint_2 is missing; found joint_1")
    whole = JointState(name=list(JOINTS), position=[0.0, 0.0])
    now_ns = ros_client.node.get_clock().now().nanoseconds
    whole.header.stamp = to_time(now_ns + HOUR_NS)
    publisher.publish(whole)
    said(rig, reports, "joint_states is stamped 3")


def test_an_arm_that_is_measured_waits_without_a_warning(start_controller, arm, rig, reports):
    start_controller()
    rig.begin()
    rig.expect(Mode.IDLE, Reason.NO_CHUNK, "waiting for a chunk")
    status = reports.wait(where=lambda r: r.status[0].message == "IDLE waiting for a chunk").status[0]
    assert status.level == DiagnosticStatus.OK
    assert {item.key: item.value for item in status.values}["chunk age [s]"] == "nan"
