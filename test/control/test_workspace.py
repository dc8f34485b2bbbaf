from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.bench.safety import delta_arm
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.workspace import Workspace

ROBOT = delta_arm()


def _measure(state: RobotState, stamp_ns: int, x: float) -> None:
    values = dict.fromkeys(ROBOT.state_names, 0.0)
    state.observe("joint_states", stamp_ns, values | {"ee_x": x}, stamp_ns)


def test_changes_count_until_a_measurement_contains_them():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT.dofs)
    _measure(state, 100, 0.15)
    assert workspace.positions(state)[0] == 0.15
    change = np.array([0.04, 0, 0, 0, 0, 0])
    workspace.note(change, 110)
    assert workspace.positions(state)[0] == pytest.approx(0.19)
    assert workspace.clamp(change, workspace.positions(state))[0] == pytest.approx(0.01)
    _measure(state, 120, 0.19)
    assert workspace.positions(state)[0] == 0.19


def test_after_a_jump_of_the_clock_they_count_until_the_next_measurement():
    state, workspace = RobotState(ROBOT), Workspace(ROBOT.dofs)
    _measure(state, 1000, 0.15)
    workspace.note(np.array([0.04, 0, 0, 0, 0, 0]), 1010)
    state.forget_times()
    workspace.forget()
    assert workspace.positions(state)[0] == pytest.approx(0.19), "the last measurement is from before"
    workspace.note(np.array([0.01, 0, 0, 0, 0, 0]), 5)
    assert workspace.positions(state)[0] == pytest.approx(0.20)
    _measure(state, 4, 0.19)
    assert workspace.positions(state)[0] == pytest.approx(0.20)
    _measure(state, 6, 0.20)
    assert workspace.positions(state)[0] == 0.20
