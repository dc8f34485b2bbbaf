from __future__ import annotations

from dataclasses import replace

import pytest

from asyncvla_ros.bench.safety_contracts import joint_arm
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.stop import Stop, StopState
from asyncvla_ros.robot.contract import JointStateSource
from asyncvla_ros.robot.motion_limits import following_limit

MS = 1_000_000
ARM = joint_arm()
DOF = next(dof for dof in ARM.dofs if not dof.holds_command)
ROBOT = replace(ARM, dofs=(DOF,), state=(JointStateSource("joint_states", (DOF.name,), (DOF.name,)),))
LIMIT = following_limit(DOF)


class Rig:
    """A stop of one dof that is commanded to stand at 0, and an arm that rests where it likes."""

    def __init__(self):
        self.stop, self.state, self.now_ns = Stop([DOF]), RobotState(ROBOT), 10**12
        self.place = 0.0

    def ask(self, commanded=0.0, *, at_rest=True, has_let_go=False, periods=1):
        for _ in range(periods):
            self.now_ns += 25 * MS
            self.state.observe("joint_states", self.now_ns, {DOF.name: self.place}, self.now_ns)
            goals = self.stop.goals(
                [commanded], self.state, self.now_ns, at_rest=at_rest, has_let_go=has_let_go
            )
        return goals

    def held(self):
        """Begin a hold at 0, where the arm rests."""
        assert self.ask(periods=12) is None
        assert self.stop.state is StopState.HOLDING
        return self


def test_a_stop_goes_from_braking_by_settling_to_holding():
    rig = Rig()
    assert rig.ask(at_rest=False) is None and rig.stop.state is StopState.BRAKING
    assert rig.ask() is None and rig.stop.state is StopState.SETTLING
    assert not rig.stop.is_settled, "measurements of before the arm settled say nothing"
    rig.held()
    assert rig.stop.is_settled and rig.stop.left == [(0.0, 0.0)]


def test_after_a_motion_the_hold_moves_to_where_the_arm_rests_and_once_only():
    rig = Rig()
    rig.stop.note_motion()
    rig.place = -0.5 * LIMIT
    assert rig.ask(periods=12) == [rig.place] and rig.stop.state is StopState.ADJUSTING
    assert rig.ask(at_rest=False) == [rig.place], "until it is there"
    assert rig.ask(commanded=rig.place, periods=12) is None and rig.stop.state is StopState.HOLDING
    rig.place *= 1.5
    assert rig.ask(commanded=-0.5 * LIMIT, periods=12) is None, "an arm that sags on is not followed"


def test_an_arm_farther_away_than_it_may_be_is_not_followed_unless_it_is_let_go():
    rig = Rig().held()
    rig.place = 3 * LIMIT
    assert rig.ask(periods=12) is None
    assert rig.ask(has_let_go=True) == [pytest.approx(rig.place)]


@pytest.mark.parametrize("restart", [Stop.brake, Stop.reconsider])
def test_an_emergency_stop_runs_to_its_end_whatever_is_asked_meanwhile(restart):
    rig = Rig().held()
    rig.stop.brake(is_emergency=True)
    restart(rig.stop)
    assert rig.ask(at_rest=False) is None and rig.stop.state is StopState.EMERGENCY
    rig.ask()
    assert rig.stop.state is StopState.SETTLING


def test_where_the_arm_was_left_outlives_a_restart_unless_its_driver_came_elsewhere():
    rig = Rig().held()
    rig.stop.restart(is_elsewhere=False)
    assert rig.stop.state is StopState.BRAKING and rig.stop.left == [(0.0, 0.0)]
    rig.stop.restart(is_elsewhere=True)
    assert rig.stop.left is None


def test_once_an_action_is_followed_nobody_knows_where_the_arm_was_left():
    rig = Rig().held()
    rig.stop.note_motion()
    assert rig.stop.state is StopState.BRAKING and rig.stop.left is None and not rig.stop.is_settled
