from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.bench.safety_contracts import delta_arm
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.workspace import Workspace

ROBOT = delta_arm()


def _measure(state: RobotState, stamp_ns: int, x: float) -> None:
    values = dict.fromkeys(ROBOT.state_names, 0.0)
    state.observe("joint_states", stamp_ns, values | {"ee_x": x}, stamp_ns)


def _spans(workspace: Workspace, state: RobotState) -> list[float]:
    low, high = workspace.positions(state)
    return [low[0], high[0]]


def test_changes_count_until_a_measurement_contains_them():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT)
    _measure(state, 10**10, 0.15)
    assert _spans(workspace, state) == [0.15, 0.15]
    change = np.array([0.04, 0, 0, 0, 0, 0])
    workspace.note(change, 10**10 + 10)
    low, high = workspace.positions(state)
    assert low[0] == high[0] == pytest.approx(0.19)
    assert workspace.clamp(change, low, high)[0] == pytest.approx(0.01)
    _measure(state, 10**10 + 20, 0.19)
    assert _spans(workspace, state) == [0.19, pytest.approx(0.23)], "an arm may lag"
    _measure(state, 11 * 10**9, 0.19)
    assert _spans(workspace, state) == [0.19, 0.19]


def test_an_arm_that_lags_is_bounded_by_where_it_was_led():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT)
    _measure(state, 10**10, 0.1)
    for step, change in enumerate([0.03, 0.02, -0.01]):
        workspace.note(np.array([change, 0, 0, 0, 0, 0]), 10**10 + 50_000_000 * step)
    _measure(state, 10**10 + 140_000_000, 0.1)
    low, high = workspace.positions(state)
    assert (low[0], high[0]) == (pytest.approx(0.09), pytest.approx(0.15))
    assert workspace.clamp(np.full(6, 0.1), low, high)[0] == pytest.approx(0.05)


def test_after_a_jump_of_the_clock_they_count_until_the_next_measurement():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT)
    _measure(state, 1000, 0.15)
    workspace.note(np.array([0.04, 0, 0, 0, 0, 0]), 1010)
    state.forget_times()
    workspace.forget()
    assert workspace.positions(state)[0][0] == pytest.approx(0.19), "the last measurement is from before"
    workspace.note(np.array([0.01, 0, 0, 0, 0, 0]), 5)
    assert workspace.positions(state)[0][0] == pytest.approx(0.20)
    _measure(state, 6, 0.20)
    assert workspace.positions(state)[0][0] == pytest.approx(0.20)
