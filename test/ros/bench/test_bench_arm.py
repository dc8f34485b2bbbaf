"""The bench arm's joints, its driver and its clock."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Int64MultiArray

from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros.bench.arm import write_contract
from asyncvla_ros.ros.bench.arm_body import HAND_SPEED, ArmBody
from asyncvla_ros.ros.bench.arm_driver import LoggedDriver, trajectory
from asyncvla_ros.ros.bench.demand_judge import CommandJudge
from asyncvla_ros.ros.bench.stepped_clock import SteppedClock, SteppedClocks, step_message
from asyncvla_ros.ros.conversions import to_time

pytestmark = pytest.mark.ros

MS = 1_000_000


def test_joints_stop_short_of_what_is_demanded():
    body = ArmBody(0.2, 0.005, 0.01)
    for _ in range(50):
        body.drive(np.full(6, 0.5), by_hand=0.0)
    np.testing.assert_allclose(body.positions, 0.495, atol=1e-9)


def test_a_hand_moves_joints_without_drives_and_as_far_as_it_is_told():
    body = ArmBody(0.2, 0.0, 0.01)
    body.lead(0.6)
    np.testing.assert_allclose(body.positions, 0.2 + 0.01 * HAND_SPEED)
    for _ in range(200):
        body.lead(0.6)
    np.testing.assert_allclose(body.positions, 0.8)
    body.drive(body.positions, by_hand=0.6)
    body.drive(body.positions, by_hand=0.0)
    np.testing.assert_allclose(body.positions, 0.8)
    body.lead(0.0)
    np.testing.assert_allclose(body.positions, 0.8)


def test_a_driver_stands_until_it_is_told_and_its_log_says_where():
    driver = LoggedDriver(np.full(6, 0.3), 5 * MS)
    assert driver.first_entry.header.frame_id == str(5 * MS)
    np.testing.assert_allclose(driver.demand(50 * MS), 0.3)
    way = trajectory(driver.first_entry, offset_ns=1)
    assert way.start_ns == -1 and way.velocities is None
    driver.first_entry.joint_names = ["elbow"]
    with pytest.raises(ValueError, match=r"expected the joints joint_1, .* got elbow"):
        trajectory(driver.first_entry)


class FakeClock:
    """Shows 1 s."""

    clock_type = ClockType.ROS_TIME

    def now(self) -> Any:
        return SimpleNamespace(nanoseconds=1_000 * MS)


def test_a_stepped_clock_shows_each_step_from_its_moment_on():
    own: Any = FakeClock()
    clock = SteppedClock(own)
    assert clock.now().nanoseconds == 1_000 * MS and clock.clock_type is ClockType.ROS_TIME
    clock.step(time.monotonic_ns() - 1, -300 * MS)
    assert clock.now().nanoseconds == 700 * MS
    clock.step(time.monotonic_ns() + 3_600_000 * MS, 500 * MS)
    assert clock.now().nanoseconds == 700 * MS, "not yet"
    clock.step(time.monotonic_ns() - 1, -100 * MS)
    assert clock.now().nanoseconds == 1_100 * MS, "steps add up"


class SteppedNode(SteppedClocks, Node):
    """A node with a timer of the node clock, and one of a steady one."""


def test_a_step_back_reaches_nodes_and_keeps_their_timers_waiting():
    rclpy.init()
    try:
        node = SteppedNode("stepped")
        counts = {"node": 0, "steady": 0}
        steady = rclpy.clock.Clock(clock_type=ClockType.STEADY_TIME)

        def count(name: str) -> None:
            counts[name] += 1

        node.create_timer(0.01, lambda: count("node"))
        node.create_timer(0.01, lambda: count("steady"), clock=steady)
        before_ns = node.get_clock().now().nanoseconds
        node._on_step(step_message(time.monotonic_ns(), -3_600_000 * MS))
        assert node.get_clock().now().nanoseconds < before_ns - 3_000_000 * MS
        while counts["steady"] < 20:
            rclpy.spin_once(node, timeout_sec=1.0)
        assert counts["node"] <= 2, "it waits for an hour"
        node.destroy_node()
    finally:
        rclpy.shutdown()
    assert list(Int64MultiArray(data=[1, 2]).data) == list(step_message(1, 2).data)


def orders(tmp_path, positions: list[float], times_ms: list[float]) -> CommandJudge:
    judge = CommandJudge(load_robot(write_contract(tmp_path)))
    for position, time_ms in zip(positions, times_ms, strict=True):
        entry = JointState(position=[float(np.float32(position))] * 6)
        entry.header.stamp = to_time(round(time_ms * MS))
        judge.note_sent(entry, 0)
    return judge


def test_commands_are_judged_at_the_times_at_which_they_were_sent(tmp_path):
    times = [1_000 + 10.0 * number for number in range(20)]
    assert orders(tmp_path, [0.1] * 20, times).problems() == []
    judge = orders(tmp_path, [0.1] * 10 + [0.11] * 10, times)
    assert judge.problems() == ["action_command: the demand broke limits of acceleration, jerk"]
    assert judge.problems() == []
    judge.forget()
    assert not judge.sent_ns


def test_the_longest_gap_is_one_that_overlaps_the_time_asked_for(tmp_path):
    judge = orders(tmp_path, [0.0] * 5, [0.0, 30.0, 40.0, 50.0, 62.0])
    assert judge.longest_gap_ns(35 * MS, 60 * MS) == 12 * MS
    assert judge.longest_gap_ns(20 * MS, 60 * MS) == 30 * MS
    assert judge.longest_gap_ns(35 * MS, 90 * MS) == 28 * MS, "none came until then"
