from __future__ import annotations

import math

from asyncvla_ros.control.robot_state import RobotState
from support.contracts import MS, libero_panda


def _state() -> RobotState:
    state = RobotState(libero_panda())
    state.observe("ee_pose", 0, {"ee_x": 0.5}, 0)
    state.observe("joint_states", 0, {"finger_left": 0.02}, 0)
    return state


def test_every_topic_must_be_there_recent_and_finite():
    state = RobotState(libero_panda())
    assert state.not_ready_reason(0) == "no robot state received on ee_pose"
    state = _state()
    assert state.not_ready_reason(500 * MS) == ""
    assert state.not_ready_reason(600 * MS) == "ee_pose is 0.60 s old, limit 0.5 s"
    state.observe("ee_pose", MS, {"ee_x": math.inf, "ee_y": 1.0}, MS)
    assert state.not_ready_reason(MS) == "ee_pose is not finite: ee_x = inf"
    assert state.value("ee_x") == 0.5
    state.observe("ee_pose", 2 * MS, {"ee_x": 0.6}, 2 * MS)
    assert state.not_ready_reason(MS) == ""


def test_an_overtaken_message_changes_nothing():
    state = _state()
    state.observe("ee_pose", 100 * MS, {"ee_x": 0.6}, 100 * MS)
    state.observe("ee_pose", 50 * MS, {"ee_x": 0.55}, 100 * MS)
    assert state.value("ee_x") == 0.6 and state.stamp_ns("ee_x") == 100 * MS
    state.observe("ee_pose", 5_000 * MS, {"ee_x": 0.7}, 5_010 * MS)
    state.observe("ee_pose", 150 * MS, {"ee_x": 0.65}, 5_010 * MS)
    assert state.value("ee_x") == 0.7, "however late it is"


def test_stamps_from_before_a_jump_do_not_look_fresh_for_ever():
    state = _state()
    state.observe("ee_pose", 10_000 * MS, {"ee_x": 0.6}, 10_000 * MS)
    assert state.not_ready_reason(100 * MS) == "ee_pose is stamped 9.90 s ahead, limit 0.5 s"
    state.observe("ee_pose", 100 * MS, {"ee_x": 0.7}, 100 * MS)
    assert state.not_ready_reason(100 * MS) == "" and state.value("ee_x") == 0.7
    state.forget_times()
    assert state.stamp_ns("ee_x") is None and state.value("ee_x") == 0.7


def test_unknown_names():
    assert math.isnan(_state().value("ee_y")) and _state().stamp_ns("elbow") is None
