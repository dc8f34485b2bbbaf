"""The controller with dofs that are tracked: every way to stop, to start and to go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.bench.safety import delta_arm, joint_arm
from asyncvla_ros.bench.safety_audit import Audit
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.types import ContractError
from support.contracts import MS, untracked_panda

ARM = replace(joint_arm(), ramp_s=0.0)
MIDDLE = np.array([(dof.minimum + dof.maximum) / 2 for dof in ARM.dofs])
GRIPS = np.array([dof.holds_command for dof in ARM.dofs])
GOAL = MIDDLE + 0.3 * np.array([dof.maximum - dof.minimum for dof in ARM.dofs])
START_NS = 10**12


class Rig:
    """An arm that obeys at once, observed in every period, with every command audited."""

    def __init__(self, robot=ARM, position=MIDDLE, **options):
        self.robot, self.position = robot, np.array(position, float)
        self.controller = Controller(robot, **options)
        self.controller.start()
        self.audit = Audit(robot)
        self.audit.begin(self.position)
        self.now_ns, self.sees, self.sent, self.ids = START_NS, True, [], 0

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

    def run(self, periods):
        for _ in range(periods):
            if self.sees:
                self.see()
            self.obey(self.controller.update(self.now_ns))
            self.now_ns += self.robot.period_ns

    def obey(self, command):
        if command.values is not None:
            self.sent.append(command)
            is_delta = np.array([dof.is_delta for dof in self.robot.dofs])
            after = np.where(is_delta, self.position + command.values, command.values)
            self.audit.add(command.values, self.position, after, self.robot.period_ns)
            self.position = after

    def moving(self):
        """Half a chunk in, at speed."""
        self.run(3)
        assert self.send() is None
        self.run(15)
        assert self.controller.mode is Mode.TRACKING and not self.controller.at_rest
        return self

    def check(self, *state):
        assert (self.controller.mode, self.controller.reason) == state
        self.audit.finish()
        assert not any(self.audit.violations.values()), self.audit.violations


def test_commands_go_on_between_actions_at_the_command_rate():
    rig = Rig().moving()
    tracked = [command for command in rig.sent if command.action is not None]
    assert [command.action.index for command in tracked] == [0] * 5 + [1] * 5 + [2] * 5
    assert tracked[1].stamp_ns - tracked[0].stamp_ns == ARM.period_ns
    assert tracked[0].values.dtype == np.float64
    assert rig.controller.update(rig.now_ns - ARM.period_ns + MS).values is None, "not two in one period"
    rig.run(10)
    rig.send(length=60)
    rig.run(200)
    assert rig.position == pytest.approx(GOAL, abs=1e-4)


def test_a_chunk_rejected_before_the_arm_is_measured_does_not_keep_it_from_being_held():
    measured = replace(ARM, dofs=tuple(dof for dof in ARM.dofs if not dof.holds_command))
    rig = Rig(measured, MIDDLE[~GRIPS])
    assert rig.send(np.full(len(measured.dofs), np.nan)) is not None
    rig.run(2)
    assert [command.values.tolist() for command in rig.sent] == [MIDDLE[~GRIPS].tolist()] * 2
    rig.check(Mode.IDLE, Reason.CHUNK_REJECTED)


def test_an_arm_moved_by_hand_before_its_first_command_begins_where_it_is_then():
    rig = Rig()
    rig.run(5)
    assert not rig.sent, "nothing can be held: the gripper is not measured"
    rig.position = MIDDLE + 0.2 * (GOAL - MIDDLE)
    rig.audit.begin(rig.position)
    rig.send()
    rig.run(1)
    assert rig.sent[0].values[~GRIPS] == pytest.approx((MIDDLE + 0.2 * (GOAL - MIDDLE))[~GRIPS], abs=1e-3)
    rig.run(30)
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
    rig.run(100)
    assert np.ptp([command.values for command in rig.sent[-20:]], axis=0).max() < 1e-9
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
    rig.now_ns += 10**9
    rig.controller.paused()
    rig.audit.begin(rig.position)
    rig.send()
    rig.run(20)
    assert rig.sent[-1].action is not None
    rig.check(Mode.TRACKING, Reason.NONE)


def test_deactivation_gives_the_stop_command_by_command():
    rig = Rig().moving()
    rig.obey(rig.controller.stop(rig.now_ns))
    periods = 0
    while not rig.controller.at_rest:
        rig.now_ns += ARM.period_ns
        rig.obey(rig.controller.update(rig.now_ns))
        periods += 1
    assert 5 < periods < 100
    rig.check(Mode.IDLE, Reason.INACTIVE)


def test_a_hold_goes_to_where_the_arm_was_measured_once_it_rested():
    rig = Rig().moving()
    rig.controller.estop()
    rig.run(60)
    commanded = rig.position
    blocked = rig.position = commanded - 0.01
    rig.controller.reset()
    rig.see()
    rig.sees = False
    rig.run(5)
    assert rig.sent[-1].values != pytest.approx(blocked), "measured before it had settled"
    for _ in range(60):
        rig.position = blocked
        rig.see()
        rig.run(1)
    held = np.where(GRIPS, commanded, blocked)
    assert rig.sent[-1].values == pytest.approx(held, abs=1e-5), "a gripper keeps its grip"
    rig.check(Mode.IDLE, Reason.NO_CHUNK)


def test_a_gripper_begins_inside_its_range_or_where_it_is_first_sent():
    position = MIDDLE.copy()
    position[GRIPS] = -0.001
    rig = Rig(position=position)
    rig.run(3)
    rig.send()
    rig.run(1)
    measured, unmeasured = rig.sent[0].values[GRIPS]
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
    rig.run(2)
    rig.check(Mode.FAULT, Reason.OUTSIDE_LIMITS)
    assert rig.controller.text.startswith("joint4 is measured at ") and "then reset" in rig.controller.text
    rig.send()
    rig.run(5)
    assert not rig.sent
    rig.position = MIDDLE.copy()
    rig.audit.begin(MIDDLE)
    rig.see()
    assert rig.controller.reset()
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


def test_authority_ramps_up_after_activation_and_reset():
    def distance(robot) -> float:
        rig = Rig(robot)
        rig.run(3)
        rig.send()
        rig.run(30)
        rig.check(Mode.TRACKING, Reason.NONE)
        return float(np.abs(rig.position - MIDDLE)[1])

    ramped = distance(replace(ARM, ramp_s=3.0))
    assert 0 < ramped < 0.5 * distance(ARM)


def test_authority_scales_changes():
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
        sent.append(controller.update(step * robot.step_ns).values)
    assert np.array(sent)[:, 0] == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.04])
    assert np.array(sent)[:, 6] == pytest.approx(0.04), "a target that is not tracked has no start"


def test_changes_stop_at_the_workspace_and_may_come_back():
    rig = Rig(delta_arm(), np.zeros(6))
    for _ in range(20):
        rig.send(np.full(6, 0.05), length=8)
        rig.run(3)
    assert rig.position[:3] == pytest.approx([0.2, 0.2, 0.2], abs=0.02)
    assert rig.position[0] == pytest.approx(0.2, abs=1e-6), "without rates it goes to the wall itself"
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
    rig.send()
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
