"""controller_node towards the controllers of a robot; the test plays all its neighbors."""

from __future__ import annotations

import importlib.util
import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rclpy.duration import Duration
from std_msgs.msg import Float64MultiArray

from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller import acknowledgement, outputs
from asyncvla_ros.ros.controller.acknowledgement import Acknowledgement
from support.controller_rig import ControllerRig
from support.fake_arm import HAND_TOPIC, JOINTS, write_hand_contract

pytestmark = pytest.mark.ros


def test_arm_and_gripper_leave_by_outputs_of_their_own(start_node, ros_client, arm, tmp_path):
    params = {"autostart": True, "discovery_s": 0.0, "robot": write_hand_contract(tmp_path)}
    node = start_node("controller_node", params=params)
    rig = ControllerRig(ros_client, (*JOINTS, "hand"))
    hand = ros_client.subscribe(Float64MultiArray, HAND_TOPIC, qos.COMMAND)
    arm.received.wait(2)
    rig.expect_anew(Mode.IDLE, Reason.NO_CHUNK)

    sent = rig.send(0.5, 9.0, 1.0, length=40)
    moved = arm.received.wait(where=lambda m: m.points[0].positions[1] > -0.3)
    assert moved.points[0].positions[0] == pytest.approx(0.5, abs=2e-3)
    assert hand.wait(where=lambda m: m.data[0] < 1e-9).data.tolist() == [0.0], "closed"

    # The chunk is exhausted: arm and gripper stay where they are.
    rig.expect(Mode.HOLDING, Reason.UNDERRUN)
    at_rest = arm.received.wait(
        where=lambda m: to_ns(m.header.stamp) > sent.due_ns(40) and not np.any(m.points[0].velocities)
    )
    assert hand.messages[-1].data.tolist() == [0.0]
    assert node.stop() == 0
    assert not arm.refusals
    last = arm.received.messages[-1]
    assert [*last.points[-1].velocities, *last.points[-1].accelerations] == [0.0] * 4
    assert last.points[0].positions == pytest.approx(at_rest.points[0].positions, abs=5e-3)


@pytest.mark.skipif(importlib.util.find_spec("control_msgs") is not None, reason="control_msgs is installed")
def test_a_gripper_action_without_its_package_fails_configure(start_node, ros_client):
    node = start_node("controller_node", params={"robot": "xarm7"})
    assert not ros_client.transition("controller", "configure")
    node.wait_for_output("cannot configure: output gripper_command needs control_msgs/action/GripperCommand")


def test_a_trajectory_that_was_held_up_is_made_anew(start_controller, arm, ros_client, monkeypatch):
    made, held_up, published = itertools.count(), [], []
    make, publish = outputs.TopicOutput.message, outputs.TopicOutput.publish

    def make_seldom_in_time(output, command, now_ns):
        message = make(output, command, now_ns)
        if next(made) % 3 == 0:
            # The process stands still for more than half a period.
            time.sleep(0.015)
            held_up.append(message)
        return message

    def note(output, message, command):
        published.append(message)
        publish(output, message, command)

    monkeypatch.setattr(outputs.TopicOutput, "message", make_seldom_in_time)
    monkeypatch.setattr(outputs.TopicOutput, "publish", note)
    start_controller()
    rig = ControllerRig(ros_client)
    rig.begin()
    rig.move(2.0, 0.0, until=0.5)
    ros_client.wait_until(lambda: len(held_up) > 10 and len(published) > 20, "trajectories")
    assert not any(one is other for one in held_up for other in published)
    assert not arm.refusals


class Publisher:
    """A fake one with listeners that come and go."""

    def __init__(self) -> None:
        self.count, self.takes, self.asked = 0, True, 0
        self.acknowledgement = Acknowledgement()
        self.acknowledgement.watch(self)

    def get_subscription_count(self) -> int:
        return self.count

    def wait_for_all_acked(self, timeout: Duration) -> bool:
        self.asked += 1
        return self.takes

    def come(self) -> None:
        """Make the middleware's event of another subscriber."""
        self.count += 1
        self.acknowledgement._note_matched(SimpleNamespace(total_count_change=1, current_count_change=1))

    def leave(self) -> None:
        self.count -= 1
        self.acknowledgement._note_matched(SimpleNamespace(total_count_change=0, current_count_change=-1))

    def is_acknowledged(self) -> bool:
        """As the controller asks, once per command."""
        heard = self.acknowledgement.is_acknowledged()
        self.acknowledgement.sent += 1
        return heard

    def is_acknowledged_soon(self) -> bool:
        return [self.is_acknowledged() for _ in range(4)][-1]


@pytest.fixture
def publisher(monkeypatch):
    one = Publisher()
    one.now_s = 100.0
    monkeypatch.setattr(acknowledgement.time, "monotonic", lambda: one.now_s)
    return one


def test_a_listener_counts_once_a_command_has_reached_it(publisher):
    assert not publisher.is_acknowledged_soon(), "there is none"
    publisher.come()
    assert [publisher.is_acknowledged() for _ in range(4)] == [False, False, True, True]
    assert publisher.asked == 1, "what was not sent since it came cannot have arrived"


@pytest.mark.parametrize(("takes", "after_s"), [(True, 0.0), (False, acknowledgement.ACK_DEADLINE_S)])
def test_a_listener_that_hangs_is_waited_for_but_not_for_ever(publisher, takes, after_s):
    publisher.takes = takes
    publisher.come()
    assert publisher.is_acknowledged_soon() is takes
    publisher.now_s += after_s + 0.01
    assert publisher.is_acknowledged()


def test_whoever_comes_or_goes_must_be_reached_anew(publisher):
    publisher.come()
    assert publisher.is_acknowledged_soon() and not publisher.acknowledgement.has_changed
    publisher.come()
    assert publisher.acknowledgement.has_changed
    assert not publisher.is_acknowledged() and publisher.is_acknowledged_soon()
    publisher.leave()
    assert publisher.acknowledgement.has_changed
    assert not publisher.is_acknowledged() and publisher.is_acknowledged_soon()
    publisher.leave()
    assert not publisher.is_acknowledged_soon()


def test_a_driver_that_was_restarted_between_two_looks_is_another_one(publisher):
    publisher.come()
    assert publisher.is_acknowledged_soon()
    publisher.leave()
    publisher.come()
    assert publisher.acknowledgement.has_changed
    assert not publisher.is_acknowledged()


def test_after_an_activation_it_must_be_seen_again_that_commands_arrive(publisher):
    publisher.come()
    assert publisher.is_acknowledged_soon()
    publisher.leave()
    publisher.come()
    assert publisher.acknowledgement.has_changed, "while inactive"
    publisher.acknowledgement.restart()
    assert not publisher.acknowledgement.has_changed, "that is known now"
    assert not publisher.is_acknowledged() and publisher.is_acknowledged_soon()


def test_an_output_with_nothing_to_say_keeps_nobody_waiting_that_is_there(publisher):
    publisher.acknowledgement.is_silent = True
    assert not publisher.is_acknowledged_soon()
    publisher.come()
    assert publisher.is_acknowledged()


@pytest.mark.parametrize(
    ("kinds", "unacknowledged"),
    [
        ((outputs.ActionCommandOutput, outputs.TopicOutput, outputs.TopicOutput), ("1", "2")),
        ((outputs.ActionCommandOutput,), ("0",)),
    ],
)
def test_what_carries_the_arm_must_be_heard(monkeypatch, kinds, unacknowledged):
    made = []
    for index, kind in enumerate(kinds):
        one = object.__new__(kind)
        one.topic, one.acknowledgement = str(index), Publisher().acknowledgement
        made.append(one)
    monkeypatch.setattr(outputs, "_published", lambda *_: made.pop(0))
    adapters = [SimpleNamespace(adapter="any")] * len(kinds)
    out = outputs.Outputs(None, SimpleNamespace(outputs=adapters))
    assert out.unacknowledged() == unacknowledged and out.needed == len(unacknowledged)
