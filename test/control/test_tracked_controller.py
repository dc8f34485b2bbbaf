"""The controller with dofs that are tracked: every way to stop, to start and to go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.bench.safety_contracts import delta_arm, joint_arm
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.types import ContractError
from support.contracts import MS, untracked_panda
from support.limits import limit_breaks

ARM = replace(joint_arm(), ramp_s=0.0)
MIDDLE = np.array([(dof.minimum + dof.maximum) / 2 for dof in ARM.dofs])
GRIPS = np.array([dof.holds_command for dof in ARM.dofs])
GOAL = MIDDLE + 0.3 * np.array([dof.maximum - dof.minimum for dof in ARM.dofs])
START_NS = 10**12


class Rig:
    """An arm that obeys at once, observed in every period, with every command checked."""

    def __init__(self, robot=ARM, position=MIDDLE, **options):
        self.robot, self.position = robot, np.array(position, float)
        self.controller = Controller(robot, **options)
        self.controller.start()
        self.now_ns, self.sees, self.sent, self.ids = START_NS, True, [], 0
        self.steady_ns = 0
        self.stand()
        self.is_emergency = False

    def stand(self):
        """The first command is expected where the arm is now, as far as it is measured."""
        is_known = [dof.name in self.robot.state_names for dof in self.robot.dofs]
        self.standing = np.where(is_known, self.position, np.nan)

    def send(self, goal=GOAL, length=8, stamp_ns=None):
        self.ids += 1
        actions = np.broadcast_to(np.asarray(goal, np.float32), (length, len(self.robot.dofs)))
        stamp_ns = self.now_ns if stamp_ns is None else stamp_ns
        names, space = self.robot.dof_names, self.robot.action_space
        chunk = StampedChunk(1, self.ids, stamp_ns, self.robot.step_ns, space, names, actions)
        return self.controller.accept(chunk, self.now_ns)

    def see(self):
        # The last dof of joint_arm is not measured.
        values = dict(zip(self.robot.state_names, self.position.tolist(), strict=False))
        self.controller.observe("joint_states", self.now_ns, values)

    def run(self, periods, late_ns=0):
        for _ in range(periods):
            if self.sees:
                self.see()
            self.now_ns += self.robot.period_ns + late_ns
            self.steady_ns += self.robot.period_ns + late_ns
            self.obey(self.controller.update(self.now_ns, self.steady_ns))

    def obey(self, command):
        if command.values is not None:
            self.sent.append(command)
            is_delta = np.array([dof.is_delta for dof in self.robot.dofs])
            after = np.where(is_delta, self.position + command.values, command.values)
            self.position = np.where(np.isnan(after), self.position, after)

    def ready(self):
        """Seen at rest."""
        self.run(10)
        return self

    def moving(self):
        """Half a chunk in, at speed."""
        self.ready()
        assert self.send() is None
        self.run(15)
        assert self.controller.mode is Mode.TRACKING and not self.controller.at_rest
        return self

    def check(self, *state):
        assert (self.controller.mode, self.controller.reason) == state
        if self.sent:
            values = np.array([self.standing, *(command.values for command in self.sent)], np.float64)
            times = [self.sent[0].at_ns - self.robot.period_ns, *(command.at_ns for command in self.sent)]
            assert not limit_breaks(self.robot, times, values, self.is_emergency)


def test_commands_go_on_between_actions_at_the_command_rate():
    rig = Rig().moving()
    tracked = [command for command in rig.sent if command.action is not None]
    assert [command.action.index for command in tracked] == [0] * 4 + [1] * 5 + [2] * 5 + [3]
    assert tracked[1].stamp_ns - tracked[0].stamp_ns == ARM.period_ns
    assert tracked[0].values.dtype == np.float64
    again = rig.controller.update(rig.now_ns + MS, rig.steady_ns + MS)
    assert again.values is None, "not two in one period"
    rig.run(10)
    rig.send(length=60)
    rig.run(200)
    assert rig.position == pytest.approx(GOAL, abs=1e-4)


def test_a_chunk_rejected_before_the_arm_is_measured_does_not_keep_it_from_being_held():
    measured = replace(ARM, dofs=tuple(dof for dof in ARM.dofs if not dof.holds_command))
    rig = Rig(measured, MIDDLE[~GRIPS])
    assert rig.send(np.full(len(measured.dofs), np.nan)) is not None
    rig.run(2)
    assert not rig.sent, "once is too seldom to be believed"
    rig.run(8)
    assert rig.sent[-1].values.tolist() == MIDDLE[~GRIPS].tolist()
    rig.check(Mode.IDLE, Reason.CHUNK_REJECTED)


def test_an_arm_moved_by_hand_before_its_first_command_begins_where_it_is_then():
    rig = Rig()
    rig.run(4)
    assert not rig.sent, "it was not seen at rest yet"
    rig.position = MIDDLE + 0.2 * (GOAL - MIDDLE)
    rig.stand()
    rig.send()
    rig.run(10)
    assert rig.sent[0].values[~GRIPS] == pytest.approx((MIDDLE + 0.2 * (GOAL - MIDDLE))[~GRIPS], abs=1e-3)
    rig.run(20)
    rig.check(Mode.TRACKING, Reason.NONE)


def _blind(rig):
    rig.sees = False


def _garbage(rig):
    rig.sees = False
    rig.controller.observe("joint_states", rig.now_ns, {"joint1": float("nan")})


def _nan_chunk(rig):
    rig.send(np.full(len(GOAL), np.nan))


STOPS = {
    "underrun": (lambda rig: None, Mode.HOLDING, Reason.UNDERRUN, 35),
    "stale chunk": (lambda rig: None, Mode.HOLDING, Reason.CHUNK_STALE, 80),
    "rejected chunk": (_nan_chunk, Mode.HOLDING, Reason.CHUNK_REJECTED, 60),
    "stale observation": (_blind, Mode.HOLDING, Reason.OBSERVATION_STALE, 30),
    "broken observation": (_garbage, Mode.HOLDING, Reason.OBSERVATION_STALE, 1),
    "emergency stop": (lambda rig: rig.controller.estop(), Mode.ESTOP, Reason.ESTOP, 1),
    "fault": (lambda rig: rig.controller.fault("test"), Mode.FAULT, Reason.INTERNAL_ERROR, 1),
}


@pytest.mark.parametrize("name", STOPS)
def test_every_stop_is_smooth_and_ends_at_rest(name):
    disturb, mode, reason, periods = STOPS[name]
    rig = Rig().moving()
    disturb(rig)
    rig.run(periods)
    rig.check(mode, reason)
    rig.run(80)
    rested = rig.position
    rig.run(20)
    assert rig.controller.at_rest and np.abs(rig.position - rested).max() < 1e-9
    rig.check(rig.controller.mode, rig.controller.reason)


@pytest.mark.parametrize("jump_ns", [-(10**9), -1])
def test_a_backward_clock_stops_smoothly(jump_ns):
    rig = Rig().moving()
    rig.now_ns += jump_ns - ARM.period_ns
    rig.run(1)
    rig.check(Mode.HOLDING, Reason.CLOCK_JUMP)
    rig.run(100)
    assert rig.controller.at_rest or np.ptp([c.values for c in rig.sent[-9:]], axis=0).max() < 1e-9
    rig.send()
    rig.run(2)
    rig.check(Mode.TRACKING, Reason.NONE)


def test_a_forward_clock_makes_the_plan_stale():
    rig = Rig().moving()
    rig.now_ns += 10**10
    rig.run(50)
    rig.check(Mode.HOLDING, Reason.CHUNK_STALE)


def test_after_a_pause_motion_begins_again_from_rest():
    rig = Rig().moving()
    rig.run(1, late_ns=10**9)
    rig.send()
    rig.run(20)
    assert rig.sent[-1].action is not None
    rig.check(Mode.TRACKING, Reason.NONE)


def test_deactivation_gives_the_stop_command_by_command():
    rig = Rig().moving()
    rig.steady_ns += ARM.period_ns
    rig.obey(rig.controller.stop(rig.now_ns, rig.steady_ns))
    periods = 0
    while not rig.controller.at_rest:
        rig.run(1)
        periods += 1
    assert 5 < periods < 100
    rig.check(Mode.IDLE, Reason.INACTIVE)


def _follow_with_an_offset(rig, offset, periods):
    """The arm rests beside where it is told to be."""
    for _ in range(periods):
        sent = len(rig.sent)
        rig.run(1)
        if len(rig.sent) > sent:
            told = ~GRIPS & ~np.isnan(rig.sent[-1].values)
            rig.position = np.where(told, rig.sent[-1].values + offset, rig.position)


def test_a_hold_goes_once_to_where_the_arm_rests():
    rig = Rig().moving()
    rig.controller.estop()
    while not rig.controller.at_rest:
        _follow_with_an_offset(rig, -0.01, 1)
    commanded = rig.sent[-1].values
    _follow_with_an_offset(rig, -0.01, 100)
    sunk = rig.sent[-1].values
    assert sunk == pytest.approx(np.where(GRIPS, commanded, commanded - 0.01), abs=1e-5)
    for again in (rig.controller.estop, rig.controller.reset) * 5:
        again()
        _follow_with_an_offset(rig, -0.01, 60)
        assert rig.sent[-1].values == pytest.approx(sunk, abs=1e-9), "it must not sink with each of them"
    rig.controller.stop(rig.now_ns, rig.steady_ns + 1)
    for _ in range(3):
        rig.controller.start()
        rig.sent.clear()
        _follow_with_an_offset(rig, -0.01, 60)
        known = ~np.isnan(rig.sent[0].values)
        assert rig.sent[0].values[known] == pytest.approx(sunk[known], abs=1e-9), "nor with each activation"


def test_one_wrong_sample_moves_nothing():
    rig = Rig().moving()
    rig.controller.estop()
    rig.run(20)
    for _ in range(100):
        before = rig.position.copy()
        if rig.now_ns % (5 * ARM.period_ns) == 0:
            rig.position = np.zeros(len(before))
        rig.see()
        rig.position = before
        rig.sees = False
        rig.run(1)
    commands = np.array([command.values for command in rig.sent[-80:]])
    assert np.ptp(commands, axis=0).max() < 1e-3


def test_a_driver_that_wraps_turns_nothing():
    turned = MIDDLE.copy()
    turned[0] = 2.7
    rig = Rig(position=turned).ready()
    rig.send(np.where(np.arange(9) == 0, 2.74, GOAL))
    rig.run(20)
    for _ in range(100):
        before = rig.position.copy()
        rig.position[0] -= 2 * np.pi
        rig.see()
        rig.position, rig.sees = before, False
        rig.run(1)
    assert rig.sent[-1].values[0] == pytest.approx(2.74, abs=0.05)
    rig.check(Mode.HOLDING, Reason.CHUNK_STALE)


def test_a_gripper_begins_inside_its_range_or_where_it_is_first_sent():
    position = MIDDLE.copy()
    position[GRIPS] = -0.001
    rig = Rig(position=position)
    rig.run(3)
    rig.run(7)
    assert np.isnan(rig.sent[-1].values[GRIPS][1]), "unmeasured: nothing to say before its first command"
    rig.send()
    rig.run(1)
    measured, unmeasured = rig.sent[-1].values[GRIPS]
    assert 0 <= measured < 0.002 < GOAL[-1] == pytest.approx(unmeasured)
    rig.run(20)
    assert rig.position[GRIPS][0] == pytest.approx(0.2 * 0.01 * 20, rel=0.2), "at its rate"
    rig.check(Mode.TRACKING, Reason.NONE)


def test_reset_begins_again_from_rest():
    rig = Rig().moving()
    rig.controller.estop()
    rig.run(2)
    assert rig.controller.reset()
    rig.send()
    rig.run(20)
    rig.check(Mode.TRACKING, Reason.NONE)


@pytest.mark.parametrize("beyond", [1e-3, 0.5])
def test_an_arm_outside_its_limits_is_not_moved(beyond):
    position = MIDDLE.copy()
    position[3] = ARM.dofs[3].maximum + beyond
    rig = Rig(position=position)
    rig.run(10)
    rig.check(Mode.FAULT, Reason.OUTSIDE_LIMITS)
    assert rig.controller.text.startswith("joint4 is measured at ") and "then reset" in rig.controller.text
    rig.send()
    rig.run(5)
    assert all(np.isnan(command.values[:7]).all() for command in rig.sent)
    rig.sent.clear()
    rig.position = MIDDLE.copy()
    rig.stand()
    rig.ready()
    assert rig.controller.reset()
    rig.ready()
    rig.send()
    rig.run(20)
    rig.check(Mode.TRACKING, Reason.NONE)


def test_nothing_is_sent_before_the_pose_is_known():
    rig = Rig()
    rig.sees = False
    rig.send()
    rig.run(5)
    assert not rig.sent
    rig.check(Mode.HOLDING, Reason.OBSERVATION_STALE)


def test_the_blend_factor_ramps_up_after_activation_and_reset():
    def distance(robot) -> float:
        rig = Rig(robot)
        rig.run(3)
        rig.send()
        rig.run(30)
        rig.check(Mode.TRACKING, Reason.NONE)
        return float(np.abs(rig.position - MIDDLE)[1])

    ramped = distance(replace(ARM, ramp_s=3.0))
    assert 0 < ramped < 0.5 * distance(ARM)


def test_the_blend_factor_scales_changes():
    robot = replace(untracked_panda(), ramp_s=0.2)
    controller = Controller(robot)
    controller.start()
    actions = np.full((8, 7), 0.04, np.float32)
    names = (robot.dof_names, actions)
    controller.accept(StampedChunk(1, 1, 0, robot.step_ns, robot.action_space, *names), 0)
    sent = []
    for step in range(6):
        for source in robot.state:
            controller.observe(source.topic, step * robot.step_ns, {})
        sent.append(controller.update(step * robot.step_ns, step * robot.step_ns).values)
    assert np.array(sent)[:, 0] == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.04])
    assert np.array(sent)[:, 6] == pytest.approx(0.04), "a target that is not tracked has no start"


def test_changes_stop_at_the_workspace_and_may_come_back():
    rig = Rig(delta_arm(), np.zeros(6))
    for _ in range(20):
        rig.send(np.full(6, 0.05), length=8)
        rig.run(3)
    assert rig.position[:3] == pytest.approx([0.2, 0.2, 0.2], abs=0.03)
    assert rig.position[0] == pytest.approx(0.2, abs=2e-3), "without rates it goes to the wall itself"
    rig.check(Mode.TRACKING, Reason.NONE)
    rig.position[:3] = 0.3
    for _ in range(20):
        rig.send(np.full(6, -0.05), length=8)
        rig.run(3)
    assert (rig.position[:3] < 0.2).all()
    rig.check(Mode.TRACKING, Reason.NONE)


def test_lockstep_answers_each_tick_once():
    robot = replace(ARM, command_hz=None)
    rig = Rig(robot, lockstep=True)
    rig.run(1)
    rig.send(stamp_ns=rig.now_ns + robot.step_ns)
    rig.run(8)
    assert [command.action.index for command in rig.sent] == list(range(8))
    rig.run(1)
    assert len(rig.sent) == 8 and rig.controller.at_rest
    rig.check(Mode.TRACKING, Reason.NONE)


def test_a_state_that_is_needed_must_exist():
    first = replace(ARM.dofs[0], name="joint9")
    with pytest.raises(ContractError, match=r"joint9 has a velocity limit.* states are joint1"):
        Controller(replace(ARM, dofs=(first, *ARM.dofs[1:])))
    arm = delta_arm()
    assert arm.dofs[0].workspace is not None
    lost = replace(arm.dofs[0], workspace=replace(arm.dofs[0].workspace, state="tool"))
    with pytest.raises(ContractError, match="dof dx has a workspace of 'tool'"):
        Controller(replace(arm, dofs=(lost, *arm.dofs[1:])))


def test_a_driver_restarted_during_an_emergency_stop_is_told_where_the_arm_is():
    rig = Rig().moving()
    rig.controller.estop()
    rig.run(60)
    rig.controller.supervisor.note_unacknowledged(["arm"], are_all=True)
    for _ in range(20):
        rig.position = np.where(GRIPS, rig.position, MIDDLE)
        rig.run(1)
    rig.controller.supervisor.note_unacknowledged([], are_all=False)
    rig.run(1)
    assert rig.sent[-1].values[~GRIPS] == pytest.approx(MIDDLE[~GRIPS], abs=1e-6)
    assert rig.controller.mode is Mode.ESTOP


@pytest.mark.parametrize("is_stopped", [False, True])
def test_an_arm_that_others_command_is_left_to_them_until_a_reset(is_stopped):
    rig = Rig().moving()
    if is_stopped:
        rig.controller.estop()
    rig.controller.supervisor.note_takeover(["/other"])
    rig.run(60)
    rig.is_emergency = True
    rig.check(*((Mode.ESTOP, Reason.ESTOP) if is_stopped else (Mode.FAULT, Reason.TAKEOVER)))
    assert rig.controller.at_rest, "a stop runs to its end"
    rig.position = np.where(GRIPS, rig.position, MIDDLE)
    rig.sent.clear()
    rig.run(30)
    assert not rig.sent
    rig.controller.supervisor.note_takeover([])
    if not is_stopped:
        rig.run(30)
        assert not rig.sent, "whoever went may come again"
    assert rig.controller.reset()
    rig.stand()
    rig.run(30)
    assert len(rig.sent) > 10
    rig.check(Mode.IDLE, Reason.NO_CHUNK)


def test_an_arm_that_does_not_follow_is_a_fault_and_after_a_reset_the_command_returns_to_it():
    rig = Rig(position=MIDDLE).ready()
    blocked = rig.position.copy()
    rig.send(GOAL)
    for _ in range(100):
        rig.run(1)
        rig.position = np.where(GRIPS, rig.position, blocked)
    assert (rig.controller.mode, rig.controller.reason) == (Mode.FAULT, Reason.FOLLOWING_ERROR)
    assert "does not follow: commanded to" in rig.controller.text
    for _ in range(100):
        rig.run(1)
        rig.position = np.where(GRIPS, rig.position, blocked)
    assert rig.sent[-1].values[~GRIPS] == pytest.approx(blocked[~GRIPS], abs=1e-4), "it pushes no more"
    assert rig.controller.reset()
    rig.run(30)
    rig.is_emergency = True
    rig.check(Mode.IDLE, Reason.NO_CHUNK)
