from __future__ import annotations

import math

import pytest
import ruckig
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncvla_ros.control.motion import (
    Bounds,
    MotionState,
    can_stop,
    cut,
    end_within,
    move,
    stop,
    stop_phases,
)

BOUNDS = Bounds(-1.0, 1.0, -2.0, 2.0, 10.0, 500.0)
SPEEDS = st.floats(-2, 2)
ACCELERATIONS = st.floats(-10, 10)


@given(SPEEDS, ACCELERATIONS)
def test_the_stop_ends_at_rest_as_soon_as_that_of_ruckig(velocity, acceleration):
    phases = stop_phases(velocity, acceleration, 10.0, 500.0)
    state = MotionState(0.0, velocity, acceleration)
    for phase in phases:
        state = move(state, phase)
    assert state.velocity == pytest.approx(0, abs=1e-12) and state.acceleration == pytest.approx(0, abs=1e-12)

    given = ruckig.InputParameter(1)
    given.control_interface = ruckig.ControlInterface.Velocity
    given.current_velocity, given.current_acceleration = [velocity], [acceleration]
    given.target_velocity, given.max_acceleration, given.max_jerk = [0.0], [10.0], [500.0]
    trajectory = ruckig.Trajectory(1)
    assert ruckig.Ruckig(1).calculate(given, trajectory) >= 0
    assert sum(duration for duration, _ in phases) == pytest.approx(trajectory.duration, abs=1e-9)
    assert state.position == pytest.approx(trajectory.at_time(trajectory.duration)[0][0], abs=1e-9)


@given(st.floats(-1, 1), SPEEDS, ACCELERATIONS)
def test_a_state_that_can_stop_never_leaves_the_bounds_while_it_does(position, velocity, acceleration):
    state = MotionState(position, velocity, acceleration)
    assume(can_stop(state, BOUNDS))
    for _ in range(800):
        state = stop(state, BOUNDS, 0.002)
        assert -1 - 1e-12 <= state.position <= 1 + 1e-12
        assert abs(state.velocity) <= 2 + 1e-12 and abs(state.acceleration) <= 10 + 1e-12
    assert (state.velocity, state.acceleration) == (0, 0)


@pytest.mark.parametrize(
    "state",
    [
        MotionState(0.95, 2.0, 0.0),
        MotionState(-0.95, -2.0, 0.0),
        MotionState(0.0, 2.0, 5.0),
        MotionState(0.0, 0.0, 11.0),
        MotionState(1.1, 0.0, 0.0),
        MotionState(0.0, math.nan, 0.0),
        MotionState(0.9999, -0.05, 10.0),
    ],
)
def test_states_that_cannot_stop_in_time(state):
    assert not can_stop(state, BOUNDS)


def test_pieces_of_a_motion():
    phases = [(0.1, 5.0), (0.0, 1.0), (0.2, -5.0)]
    assert cut(phases, 0.05) == [(0.05, 5.0)]
    assert cut(phases, 0.2) == [(0.1, 5.0), (pytest.approx(0.1), -5.0)]
    assert cut(phases, 1.0)[-1] == (pytest.approx(0.7), 0.0)
    rest = MotionState(0.0, 0.0, 0.0)
    assert end_within(rest, [(0.02, 500.0), (0.02, -500.0)], BOUNDS)
    assert not end_within(rest, [(0.02, 501.0)], BOUNDS)
    assert not end_within(rest, [(0.03, 500.0)], BOUNDS), "acceleration 15"
    assert not end_within(MotionState(0.0, 1.95, 10.0), [(0.04, -500.0)], BOUNDS), "2.05 on the way"
