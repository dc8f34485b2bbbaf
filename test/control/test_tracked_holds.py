"""The controller with dofs that are tracked: where it stops and stays, and whose the arm is then."""

from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.control.types import Mode, Reason
from support.tracked_rig import ARM, GOAL, GRIPS, MIDDLE, Rig


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


def _follow_with_an_offset(rig, offset, periods):
    """Let the arm rest beside its commanded position."""
    for _ in range(periods):
        sent = len(rig.sent)
        rig.run(1)
        if len(rig.sent) > sent:
            told = ~GRIPS & ~np.isnan(rig.sent[-1].values)
            rig.position = np.where(told, rig.sent[-1].values + offset, rig.position)


def _sunk():
    """Stop an arm that rests below its commanded position; return where the hold is."""
    rig = Rig().moving()
    rig.controller.estop()
    while not rig.controller.at_rest:
        _follow_with_an_offset(rig, -0.01, 1)
    commanded = rig.sent[-1].values
    _follow_with_an_offset(rig, -0.01, 100)
    sunk = rig.sent[-1].values
    assert sunk == pytest.approx(np.where(GRIPS, commanded, commanded - 0.01), abs=1e-5)
    return rig, sunk


def test_a_hold_goes_once_to_where_the_arm_rests():
    rig, sunk = _sunk()
    for again in (rig.controller.estop, rig.controller.reset) * 5:
        again()
        _follow_with_an_offset(rig, -0.01, 60)
        assert rig.sent[-1].values == pytest.approx(sunk, abs=1e-9), "it must not sink with each of them"


def test_a_hold_does_not_sink_with_each_activation():
    rig, sunk = _sunk()
    rig.controller.reset()
    _follow_with_an_offset(rig, -0.01, 60)
    rig.controller.stop(rig.now_ns, rig.steady_ns + 1)
    for _ in range(3):
        rig.controller.start()
        rig.sent.clear()
        _follow_with_an_offset(rig, -0.01, 60)
        known = ~np.isnan(rig.sent[0].values)
        assert rig.sent[0].values[known] == pytest.approx(sunk[known], abs=1e-9)


def test_one_wrong_sample_moves_nothing():
    rig = Rig().moving()
    rig.controller.estop()
    rig.run(20)
    for _ in range(100):
        before = rig.position.copy()
        if rig.now_ns % (5 * ARM.command_period_ns) == 0:
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
    rig.check(Mode.IDLE, Reason.NO_CHUNK)
