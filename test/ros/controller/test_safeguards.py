"""The arm is moved only while it is ours: it obeys and follows, is enabled, and nobody else commands it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, UInt8
from trajectory_msgs.msg import JointTrajectory

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.robot.contract import DriverState
from asyncvla_ros.ros.controller.safeguards import message_type
from asyncvla_ros.types import ContractError
from support.controller_rig import ControllerRig
from support.fake_arm import ARM_TOPIC, write_contract

pytestmark = pytest.mark.ros

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RUNNING = {"topic": "driver/running", "type": "std_msgs/msg/Bool", "ready": [True]}
SAFETY = {"topic": "driver/safety_mode", "type": "std_msgs/msg/UInt8", "field": "data", "ready": [1, 2]}
# The controller begins where samples agree, within this [rad].
NEAR = 5e-3


@pytest.fixture
def rig(ros_client):
    return ControllerRig(ros_client)


def is_at(position):
    return lambda command: command.action == pytest.approx(position, abs=NEAR)


def is_standing(trajectory: JointTrajectory) -> bool:
    return not any(np.any(point.velocities) for point in trajectory.points)


def first_action(rig: ControllerRig):
    return rig.commands.wait(where=lambda c: c.source == ActionCommand.SOURCE_CHUNK).action


def test_the_command_goes_with_an_arm_whose_driver_does_not_obey(start_controller, arm, rig, tmp_path):
    running = rig.client.node.create_publisher(Bool, "driver/running", LATCHED)
    safety = rig.client.node.create_publisher(UInt8, "driver/safety_mode", LATCHED)
    start_controller(write_contract(tmp_path, driver_state=[RUNNING, SAFETY]))
    rig.begin()
    rig.expect(Mode.IDLE, Reason.DRIVER_NOT_READY, "driver/running says nothing, expected one of [1]")
    running.publish(Bool(data=True))
    rig.expect(Mode.IDLE, Reason.DRIVER_NOT_READY, "driver/safety_mode says nothing")
    safety.publish(UInt8(data=2))
    rig.move(2.0, 0.0)

    running.publish(Bool(data=False))
    rig.expect_anew(Mode.HOLDING, Reason.DRIVER_NOT_READY, "driver/running says data = 0")
    arm.hold((0.2, -0.7))
    rig.commands.wait(where=is_at((0.2, -0.7)))
    assert arm.received.wait(where=lambda m: m.points[-1].positions == pytest.approx((0.2, -0.7), abs=NEAR))
    rig.send(2.0, 0.0)
    rig.commands.wait(len(rig.commands.messages) + 10)
    arm.release()
    rig.commands.clear()
    running.publish(Bool(data=True))
    assert first_action(rig) == pytest.approx((0.2, -0.7), abs=0.02)
    rig.expect(Mode.TRACKING)

    safety.publish(UInt8(data=3))
    rig.expect_anew(Mode.HOLDING, Reason.DRIVER_NOT_READY, "driver/safety_mode says data = 3")
    safety.publish(UInt8(data=1))
    rig.expect_anew(Mode.TRACKING)
    rig.client.node.destroy_publisher(safety)
    rig.expect_anew(Mode.HOLDING, Reason.DRIVER_NOT_READY, "driver/safety_mode says nothing")
    assert not arm.refusals


@pytest.mark.parametrize(
    ("message", "field", "expected"),
    [
        ("std_msgs/msg/Nothing", "data", "has the type std_msgs/msg/Nothing, which is not installed"),
        ("no_msgs/msg/Mode", "data", "has the type no_msgs/msg/Mode, which is not installed"),
        ("std_msgs/msg/Bool", "mode", "has no field 'mode'; the fields are data"),
        (
            "std_msgs/msg/String",
            "data",
            "data of std_msgs/msg/String is a string, expected a bool or an integer",
        ),
        ("std_msgs/msg/Float64", "data", "is a double, expected"),
        ("std_msgs/msg/UInt8MultiArray", "data", "is a sequence<uint8>, expected"),
    ],
)
def test_a_driver_state_that_cannot_be_read_is_refused(message, field, expected):
    with pytest.raises(ContractError, match=re.escape(expected)):
        message_type(DriverState("driver/mode", message, field, (1,)))


def test_a_driver_that_has_gone_while_inactive_is_not_ready(start_controller, arm, rig, tmp_path):
    running = rig.client.node.create_publisher(Bool, "driver/running", LATCHED)
    start_controller(write_contract(tmp_path, driver_state=[RUNNING]))
    running.publish(Bool(data=True))
    rig.transition("configure")
    rig.client.wait_until(lambda: running.get_subscription_count() == 2, "subscriptions")
    assert running.wait_for_all_acked()
    rig.client.node.destroy_publisher(running)
    rig.client.wait_until(lambda: not rig.client.node.count_publishers("driver/running"), "end")
    rig.status.clear()
    rig.status.wait(3)
    rig.status.clear()
    rig.transition("activate")
    rig.expect(Mode.IDLE, Reason.DRIVER_NOT_READY, "driver/running says nothing")
    assert Reason.NOT_HEARD not in [status.reason_code for status in rig.status.messages]


def test_an_arm_that_is_blocked_is_a_fault_and_the_command_returns_to_it(start_controller, arm, rig):
    start_controller()
    rig.begin()
    rig.move(2.0, -0.5)
    arm.hold()
    where = arm.measured
    fault = rig.expect(Mode.FAULT, Reason.FOLLOWING_ERROR, "joint_1 does not follow: commanded to")
    assert f"measured at {where[0]:.3f} rad" in fault.reason and "limit 0.1" in fault.reason
    rig.send(2.0, -0.5)
    rig.status.clear()
    assert rig.status.wait(3).mode == Mode.FAULT

    rig.commands.clear()
    assert rig.trigger("reset")
    rig.send(2.0, -0.5)
    rig.expect_anew(Mode.TRACKING)
    returned = [c.action for c in rig.commands.messages if c.source == ActionCommand.SOURCE_HOLD][-1]
    assert returned == pytest.approx(where, abs=NEAR)
    arm.release()
    rig.commands.wait(where=lambda c: c.action[0] > where[0] + 0.3)
    assert not arm.refusals


def test_nothing_moves_unless_the_enable_switch_is_held(start_controller, arm, rig, tmp_path):
    start_controller(write_contract(tmp_path, enable={"topic": "enable", "timeout_s": 1.0}))
    switch = rig.client.node.create_publisher(Bool, "enable", 1)
    held = Bool(data=True)
    rig.begin()
    rig.send(2.0, 0.0)
    rig.expect(Mode.IDLE, Reason.NOT_ENABLED, "nothing came from the enable switch enable")
    timer = rig.client.node.create_timer(0.05, lambda: switch.publish(held))
    rig.expect(Mode.TRACKING)
    held.data = False
    rig.expect_anew(Mode.HOLDING, Reason.NOT_ENABLED, "the enable switch enable is off")
    held.data = True
    rig.expect_anew(Mode.TRACKING)
    rig.client.node.destroy_timer(timer)
    rig.expect_anew(Mode.HOLDING, Reason.NOT_ENABLED, "the enable switch enable is silent for")


def test_an_arm_that_others_command_is_not_activated(start_controller, arm, rig, capfd):
    other = rig.client.node.create_publisher(JointTrajectory, ARM_TOPIC, 1)
    start_controller()
    rig.transition("configure")
    assert not rig.client.transition("controller", "activate")
    expected = (
        "cannot activate: others command this arm: /test_client (trajectory_msgs/msg/JointTrajectory) on "
        "/arm/joint_trajectory; end them first"
    )
    assert expected in capfd.readouterr().err
    assert rig.client.state("controller") == "inactive"
    rig.client.node.destroy_publisher(other)
    rig.client.wait_until(lambda: rig.client.transition("controller", "activate"), "activation")


def test_others_that_become_known_while_it_is_activated_keep_it_from_that(start_controller, arm, rig):
    start_controller(discovery_s=60.0)
    rig.transition("configure")
    with ThreadPoolExecutor() as pool:
        activated = pool.submit(rig.client.transition, "controller", "activate")
        rig.client.node.create_publisher(JointTrajectory, ARM_TOPIC, 1)
        assert not activated.result()


def test_others_that_come_later_are_a_fault_for_as_long_as_they_are_there(start_controller, arm, rig):
    start_controller()
    rig.begin()
    rig.move(2.0, 0.0)
    other = rig.client.node.create_publisher(JointTrajectory, ARM_TOPIC, 1)
    words = "others command this arm, too: /test_client (trajectory_msgs/msg/JointTrajectory)"
    fault_ns = to_ns(rig.expect(Mode.FAULT, Reason.TAKEOVER, words).header.stamp)
    arm.received.wait(where=lambda m: to_ns(m.header.stamp) > fault_ns and is_standing(m))
    # The others move the arm now.
    arm.hold((0.2, -0.2))
    rig.send(2.0, 0.0)
    assert not rig.trigger("reset")
    arm.received.clear()
    rig.status.clear()
    rig.status.wait(5)
    assert {status.mode for status in rig.status.messages} == {Mode.FAULT}
    assert not arm.received.messages, "nothing is sent against theirs"
    rig.status.clear()
    rig.client.node.destroy_publisher(other)
    rig.client.wait_until(lambda: rig.trigger("reset"), "reset")
    assert arm.received.wait().points[0].positions == pytest.approx((0.2, -0.2), abs=NEAR)
    arm.release()
    rig.send(2.0, 0.0)
    rig.expect_anew(Mode.TRACKING)
