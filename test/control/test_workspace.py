from __future__ import annotations

import math

import numpy as np
import pytest

from asyncvla_ros.bench.safety_contracts import delta_arm
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.workspace import Workspace

ROBOT = delta_arm()
MS, SEC = 10**6, 10**9


def _measure(state: RobotState, stamp_ns: int, x: float) -> None:
    values = dict.fromkeys(ROBOT.state_names, 0.0)
    state.observe("joint_states", stamp_ns, values | {"ee_x": x}, stamp_ns)


def _spans(workspace: Workspace, state: RobotState, now_ns: int, at_ns: int) -> list[float]:
    low, high = workspace.positions(state, now_ns, at_ns)
    return [pytest.approx(low[0]), pytest.approx(high[0])]


def _change(x: float) -> np.ndarray:
    return np.array([x, 0, 0, 0, 0, 0])


def test_changes_count_until_a_measurement_contains_them():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT)
    _measure(state, SEC, 0.15)
    assert _spans(workspace, state, SEC, 0) == [0.15, 0.15]
    workspace.note(_change(0.04), 10 * MS)
    low, high = workspace.positions(state, SEC + 20 * MS, 20 * MS)
    assert low[0] == high[0] == pytest.approx(0.19)
    assert workspace.clamp(_change(0.04), low, high)[0] == pytest.approx(0.01)
    _measure(state, SEC + 50 * MS, 0.19)
    assert _spans(workspace, state, SEC + 60 * MS, 60 * MS) == [0.19, 0.23], "an arm may lag"
    for age in (510, 530, 550):
        _measure(state, SEC + age * MS, 0.19)
    left = 0.04 * math.exp(-500 / 250)
    assert _spans(workspace, state, SEC + 560 * MS, 560 * MS) == [0.19, 0.19 + left], "or come ever closer"
    for age in (6000, 6020, 6040):
        _measure(state, SEC + age * MS, 0.19)
    assert _spans(workspace, state, SEC + 6050 * MS, 6050 * MS) == [0.19, 0.19]


def test_an_arm_that_lags_is_bounded_by_where_it_was_led():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT)
    for step, change in enumerate([0.03, 0.02, -0.01]):
        workspace.note(_change(change), 50 * MS * step)
    _measure(state, SEC, 0.1)
    low, high = workspace.positions(state, SEC + MS, 140 * MS)
    assert (low[0], high[0]) == (pytest.approx(0.09), pytest.approx(0.15))
    assert workspace.clamp(np.full(6, 0.1), low, high)[0] == pytest.approx(0.05)


def test_one_wrong_sample_bounds_both_sides():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT)
    for age, x in ((0, 0.19), (25, 0.19), (50, -0.1)):
        _measure(state, SEC + age * MS, x)
    assert _spans(workspace, state, SEC + 50 * MS, 0) == [-0.1, 0.19]


@pytest.mark.parametrize("jump_ns", [-3 * SEC, 3 * SEC])
def test_a_clock_that_is_set_changes_nothing(jump_ns):
    state, workspace = RobotState(ROBOT), Workspace(ROBOT)
    _measure(state, 10 * SEC, 0.1)
    workspace.note(_change(0.05), 0)
    state.forget_times()
    _, high = workspace.positions(state, 10 * SEC + jump_ns, 50 * MS)
    assert high[0] == pytest.approx(0.15), "the last measurement may be from before"
    _measure(state, 10 * SEC + jump_ns + 60 * MS, 0.1)
    assert _spans(workspace, state, 10 * SEC + jump_ns + 70 * MS, 70 * MS) == [0.1, 0.15]
