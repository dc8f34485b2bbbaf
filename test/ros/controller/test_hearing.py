"""Nothing moves before commands arrive, and the first one that does is where the arm is."""

from __future__ import annotations

import numpy as np
import pytest
from std_msgs.msg import Float64MultiArray

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from support.controller_rig import ControllerRig
from support.fake_arm import (
    ARM_TOPIC,
    HAND_TOPIC,
    JOINTS,
    OUTPUTS,
    FakeArm,
    write_contract,
    write_hand_contract,
)

pytestmark = pytest.mark.ros


@pytest.fixture
def absent(ros_domain):
    """Yield an arm at (0.5, -0.5) whose driver is not there yet."""
    with FakeArm((0.5, -0.5)) as peer:
        yield peer


def first_is_at(arm: FakeArm, position) -> None:
    """Check that the first trajectory only leads to (2,) ``position``, with time for the way."""
    for point in arm.received.wait().points:
        assert point.positions == pytest.approx(position, abs=2e-3)
        assert not np.any(point.velocities) and not np.any(point.accelerations)
        assert to_ns(point.time_from_start) > 100_000_000


def waits_for(rig: ControllerRig, topic: str, *goal: float) -> None:
    """Chunks are accepted, and nothing moves."""
    for _ in range(3):
        rig.send(*goal)
        rig.expect_anew(Mode.IDLE, Reason.NOT_HEARD, f"commands reach nobody on {topic}")


def test_what_obeys_action_commands_must_hear_them_where_nothing_else_moves_the_arm(
    start_controller, absent, ros_client, tmp_path
):
    start_controller(write_contract(tmp_path, outputs=OUTPUTS[:1]))
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    assert ros_client.transition("controller", "configure") and ros_client.transition(
        "controller", "activate"
    )
    unacknowledged = status.wait(where=lambda s: s.reason_code == Reason.NOT_HEARD)
    assert unacknowledged.mode == Mode.IDLE
    assert unacknowledged.reason.startswith("commands reach nobody on ~/command")
    rig = ControllerRig(ros_client)
    rig.send(2.0, 0.0)
    rig.expect(Mode.TRACKING)
    first = rig.commands.messages[0]
    assert first.source == ActionCommand.SOURCE_HOLD
    assert first.action == pytest.approx((0.5, -0.5), abs=1e-6), "held where it is measured"


def test_a_driver_that_comes_late_is_led_to_where_the_arm_is(start_controller, absent, ros_client):
    start_controller()
    rig = ControllerRig(ros_client)
    rig.begin()
    waits_for(rig, ARM_TOPIC, 2.0, 0.0)
    # Somebody moves the arm meanwhile.
    absent.hold((0.9, -0.9))
    waits_for(rig, ARM_TOPIC, 2.0, 0.0)
    absent.listen()
    absent.release()
    first_is_at(absent, (0.9, -0.9))
    rig.expect(Mode.TRACKING)
    assert not absent.refusals


def test_an_unmeasured_gripper_makes_no_listener_of_nobody(start_controller, arm, ros_client, tmp_path):
    """Nobody obeys the gripper, then nobody the arm."""
    start_controller(write_hand_contract(tmp_path))
    rig = ControllerRig(ros_client, (*JOINTS, "hand"))
    rig.begin()
    waits_for(rig, HAND_TOPIC, 2.0, 0.0, 1.0)
    first_is_at(arm, (0.5, -0.5))
    arm.leave()
    rig.expect_anew(Mode.IDLE, Reason.NOT_HEARD, f"{ARM_TOPIC}, {HAND_TOPIC}")
    hand = ros_client.subscribe(Float64MultiArray, HAND_TOPIC, qos.COMMAND)
    waits_for(rig, ARM_TOPIC, 2.0, 0.0, 1.0)
    assert not hand.messages, "nobody knows a target before the first action"
    assert all(command.source == ActionCommand.SOURCE_HOLD for command in rig.commands.messages)
    arm.received.clear()
    arm.listen()
    rig.expect(Mode.TRACKING)
    first_is_at(arm, (0.5, -0.5))
    assert hand.wait().data.tolist() == [0.0]


def test_a_driver_that_returns_elsewhere_is_led_to_where_the_arm_is_now(start_controller, arm, ros_client):
    start_controller()
    rig = ControllerRig(ros_client)
    rig.begin()
    rig.move(2.0, 0.0)
    arm.leave()
    rig.expect_anew(Mode.HOLDING, Reason.NOT_HEARD)
    arm.hold((0.2, -0.2))
    rig.send(2.0, 0.0)
    arm.received.clear()
    rig.expect_anew(Mode.HOLDING, Reason.NOT_HEARD)
    arm.listen()
    arm.release()
    rig.expect(Mode.TRACKING)
    first_is_at(arm, (0.2, -0.2))
    assert not arm.refusals


@pytest.mark.parametrize("is_restarted_before", [True, False])
def test_after_reactivation_it_must_be_heard_again(start_controller, arm, ros_client, is_restarted_before):
    start_controller()
    rig = ControllerRig(ros_client)
    rig.begin()
    rig.move(2.0, 0.0)
    rig.transition("deactivate")
    arm.leave()
    arm.hold((0.2, -0.2))
    arm.received.clear()
    if is_restarted_before:
        arm.listen()
        arm.release()
    rig.status.clear()
    rig.transition("activate")
    if not is_restarted_before:
        waits_for(rig, ARM_TOPIC, 2.0, 0.0)
        arm.listen()
        arm.release()
    rig.send(2.0, 0.0)
    rig.expect(Mode.TRACKING)
    first_is_at(arm, (0.2, -0.2))
    assert not arm.refusals
