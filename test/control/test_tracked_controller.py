"""The controller with dofs that are tracked: what begins, holds and ends a motion.

What can happen in any order: ``test_controller_state_machine.py``. Here is what needs a setting of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.bench.safety_contracts import delta_arm
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.types import ContractError
from support.contracts import MS, untracked_panda
from support.tracked_rig import ARM, GOAL, GRIPS, MIDDLE, Rig


def test_commands_go_on_between_actions_at_the_command_rate():
    rig = Rig().moving()
    tracked = [command for command in rig.sent if command.action is not None]
    assert [command.action.index for command in tracked] == [0] * 4 + [1] * 5 + [2] * 5 + [3]
    assert tracked[1].stamp_ns - tracked[0].stamp_ns == ARM.command_period_ns
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
    controller.accept(StampedChunk(1, 1, 0, robot.action_period_ns, robot.action_space, *names), 0)
    sent = []
    for step in range(6):
        for source in robot.state:
            controller.observe(source.topic, step * robot.action_period_ns, {})
        sent.append(controller.update(step * robot.action_period_ns, step * robot.action_period_ns).values)
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
    rig.send(stamp_ns=rig.now_ns + robot.action_period_ns)
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
