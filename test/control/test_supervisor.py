from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.supervisor import Supervisor, nearest
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.robot.contract import Dof, DriverState, EnableSwitch, JointStateSource
from support.contracts import MS, shipped_robot

JOINTS = ("pan", "lift")
ARM = replace(
    shipped_robot("gazebo_arm"),
    dofs=tuple(
        Dof(
            name,
            "rad",
            1.0,
            is_delta=False,
            minimum=-3.0,
            maximum=3.0,
            velocity=1.0,
            acceleration=4.0,
            jerk=40.0,
        )
        for name in JOINTS
    ),
    state=(JointStateSource("joint_states", JOINTS, JOINTS),),
    lag_s=0.2,
)
MODE = DriverState("mode", "std_msgs/msg/UInt8", "data", (1, 2))


class Rig:
    """Commands and measurements, 20 ms apart."""

    def __init__(self):
        self.supervisor, self.state, self.now_ns = Supervisor(ARM), RobotState(ARM), 0

    def run(self, commanded, measured, periods=1):
        for _ in range(periods):
            self.now_ns += 20 * MS
            self.supervisor.note_command(np.array(commanded, float), self.now_ns)
            values = dict(zip(JOINTS, measured, strict=True))
            self.state.observe("joint_states", self.now_ns, values, self.now_ns)
            self.supervisor.check_following(self.state)
        return self.supervisor.latch


def test_an_arm_that_lags_follows():
    rig = Rig()
    path = [min(1.0, 0.02 * step) for step in range(200)]
    for step, place in enumerate(path):
        assert rig.run([place, 0.0], [path[max(0, step - 10)], 0.0]) is None


def test_an_arm_that_is_blocked_is_named_with_command_and_measurement():
    rig = Rig()
    for step in range(40):
        latch = rig.run([0.02 * step, 0.0], [0.0, 0.0])
        if latch is not None:
            break
    assert latch is not None and latch.mode is Mode.FAULT and latch.reason is Reason.FOLLOWING_ERROR
    assert step < 20, "0.1 rad of limit, 0.2 rad of lag, and three samples"
    for part in ("pan does not follow", "measured at 0.000 rad", "limit 0.1"):
        assert part in latch.text


def test_one_wrong_sample_is_none():
    rig = Rig()
    rig.run([1.0, 0.5], [1.0, 0.5], 20)
    for _ in range(10):
        assert rig.run([1.0, 0.5], [0.0, 0.0]) is None
        assert rig.run([1.0, 0.5], [1.0, 0.5]) is None


def test_a_hold_goes_with_an_arm_moved_by_hand_but_not_with_a_sensor_that_jumps():
    rig = Rig()
    rig.run([1.0, 0.0], [1.0, 0.0], 20)
    for step in range(30):
        rig.run([1.0, 0.0], [1.0 - 0.02 * step, 0.0])
    assert rig.supervisor.latch is not None and rig.supervisor.has_let_go
    rig = Rig()
    rig.run([1.0, 0.0], [1.0, 0.0], 20)
    rig.run([1.0, 0.0], [0.0, 0.0], 20)
    assert rig.supervisor.latch is not None and not rig.supervisor.has_let_go


def test_after_a_reset_the_command_returns_to_the_arm_before_anything_else():
    rig = Rig()
    rig.run([1.0, 0.0], [1.0, 0.0], 20)
    rig.run([1.0, 0.0], [0.0, 0.0], 20)
    assert rig.supervisor.reset() and rig.supervisor.has_let_go
    verdict = rig.supervisor.verdict(0)
    assert verdict is not None and verdict.mode is Mode.HOLDING and verdict.reason is Reason.FOLLOWING_ERROR
    rig.supervisor.note_returned()
    assert rig.supervisor.verdict(0) is None and not rig.supervisor.has_let_go


@pytest.mark.parametrize("turns", [-2, -1, 1])
def test_whole_turns_are_no_error(turns):
    rig = Rig()
    assert rig.run([2.9, 0.0], [2.9 + 2 * math.pi * turns, 0.0], 20) is None
    assert nearest(ARM.dofs[0], 2.9 - 2 * math.pi, 3.0) == pytest.approx(2.9)
    linear = replace(ARM.dofs[0], unit="m")
    assert nearest(linear, 2.9 - 2 * math.pi, 3.0) == 2.9 - 2 * math.pi


def test_the_driver_must_be_ready():
    supervisor = Supervisor(replace(ARM, driver_states=(MODE,)))
    verdict = supervisor.verdict(0)
    assert verdict is not None and verdict.reason is Reason.DRIVER_NOT_READY
    assert verdict.text == "the driver is not ready: mode says nothing, expected one of [1, 2]"
    supervisor.note_driver(0, 2)
    assert supervisor.verdict(0) is None and not supervisor.has_let_go
    supervisor.note_driver(0, 7)
    verdict = supervisor.verdict(0)
    assert verdict is not None and "mode says data = 7" in verdict.text and verdict.mode is Mode.HOLDING
    assert supervisor.has_let_go
    supervisor.note_driver(0, None)
    assert supervisor.verdict(0) is not None, "its publisher is gone"


def test_the_enable_switch_must_be_held():
    supervisor = Supervisor(replace(ARM, enable=EnableSwitch("enable", 0.5)))
    texts = []
    for value, at_ns, now_ns in ((None, 0, 0), (True, 0, 600 * MS), (False, 700 * MS, 700 * MS)):
        if value is not None:
            supervisor.note_enable(at_ns, is_on=value)
        verdict = supervisor.verdict(now_ns)
        assert verdict is not None and verdict.reason is Reason.NOT_ENABLED
        texts.append(verdict.text)
    assert "nothing came" in texts[0] and "0.60 s" in texts[1] and "is off" in texts[2]
    supervisor.note_enable(800 * MS, is_on=True)
    assert supervisor.verdict(1200 * MS) is None


def test_what_outranks_what():
    supervisor = Supervisor(ARM)
    supervisor.note_unacknowledged(["arm/joint_trajectory"], are_all=False)
    verdict = supervisor.verdict(0)
    assert (
        verdict is not None and verdict.reason is Reason.NOT_HEARD and "arm/joint_trajectory" in verdict.text
    )
    supervisor.note_takeover(["/other (JointTrajectory)"])
    verdict = supervisor.verdict(0)
    assert verdict is not None and verdict.mode is Mode.FAULT and verdict.reason is Reason.TAKEOVER
    supervisor.estop()
    supervisor.fault(Reason.INTERNAL_ERROR, "later")
    verdict = supervisor.verdict(0)
    assert verdict is not None and verdict.mode is Mode.ESTOP
    assert supervisor.reset() and not supervisor.reset()
