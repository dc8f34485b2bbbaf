from __future__ import annotations

import math

import pytest
import ruckig
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.robot.motion_limits import MotionLimits
from asyncvla_ros.robot.stops import WorstStop, stop_from, stops, worst_stop
from support.contracts import shipped_robot

POSITIVE = st.floats(0.1, 100.0)
SHARE = st.floats(0.0, 1.0)


def _ruckig_stop(velocity: float, acceleration: float, max_acceleration: float, jerk: float) -> WorstStop:
    """Compute the quickest stop, independently of the code under test."""
    given = ruckig.InputParameter(1)
    given.control_interface = ruckig.ControlInterface.Velocity
    given.current_position, given.current_velocity = [0.0], [velocity]
    given.current_acceleration = [acceleration]
    given.target_velocity, given.target_acceleration = [0.0], [0.0]
    given.max_acceleration, given.max_jerk = [max_acceleration], [jerk]
    trajectory = ruckig.Trajectory(1)
    assert ruckig.Ruckig(1).calculate(given, trajectory) >= 0
    return WorstStop(trajectory.duration, trajectory.at_time(trajectory.duration)[0][0])


@pytest.mark.parametrize(
    ("velocity", "acceleration", "jerk", "time_s", "distance"),
    [
        # v j <= a^2: T = 2 sqrt(v / j), way v T / 2; else T = v / a + a / j.
        (1.0, 10.0, 4.0, 1.0, 0.5),
        (2.0, 2.0, 4.0, 1.5, 1.5),
        (0.0, 2.0, 4.0, 0.0, 0.0),
    ],
)
def test_known_stops_from_full_velocity(velocity, acceleration, jerk, time_s, distance):
    stop = stop_from(velocity, 0.0, acceleration, jerk)
    assert (stop.time_s, stop.distance) == (pytest.approx(time_s), pytest.approx(distance))


@given(POSITIVE, SHARE, POSITIVE, POSITIVE)
def test_a_stop_is_the_quickest_one(velocity, share, max_acceleration, jerk):
    stop = stop_from(velocity, share * max_acceleration, max_acceleration, jerk)
    expected = _ruckig_stop(velocity, share * max_acceleration, max_acceleration, jerk)
    assert stop.time_s == pytest.approx(expected.time_s, rel=1e-6)
    assert stop.distance == pytest.approx(expected.distance, rel=1e-6)


@given(POSITIVE, POSITIVE, POSITIVE, st.floats(1.0, 10.0), st.floats(1.0, 10.0), SHARE, SHARE)
def test_no_stop_is_worse(speed, acceleration, jerk, more_acceleration, more_jerk, share, slower):
    motion = MotionLimits(-speed, speed, acceleration, jerk)
    stop = MotionLimits(-speed, speed, more_acceleration * acceleration, more_jerk * jerk)
    worst = worst_stop(motion, stop)
    # A state that keeps its velocity limit while its acceleration ends.
    start = share * min(acceleration, math.sqrt(2 * jerk * speed))
    velocity = (1 - slower) * speed - start**2 / (2 * jerk)
    one = _ruckig_stop(velocity, start, stop.acceleration, stop.jerk)
    assert one.time_s <= worst.time_s * (1 + 1e-4)
    assert one.distance <= worst.distance * (1 + 1e-4)


def test_an_arm_that_accelerates_needs_longer():
    motion = MotionLimits(-1.0, 1.0, 2.0, 10.0)
    calm, worst = stop_from(1.0, 0.0, 2.0, 10.0), worst_stop(motion, motion)
    assert worst == stop_from(1.0 - 2.0**2 / 20.0, 2.0, 2.0, 10.0)
    assert worst.time_s == pytest.approx(calm.time_s + 0.2)
    assert worst.distance > calm.distance


def test_the_stops_of_a_contract():
    found = stops(shipped_robot("ur5e"))
    assert [one.name for one in found] == list(shipped_robot("ur5e").dof_names[:-1]), (
        "no gripper: not tracked"
    )
    assert found[0].hold.time_s == pytest.approx(1.20, abs=0.01)
    assert found[0].emergency.time_s < 0.7 and found[0].emergency.distance < 1.2
    for name in ("franka_fr3", "so101", "widowx_250", "xarm7", "gazebo_arm", "libero_panda"):
        for one in stops(shipped_robot(name)):
            assert one.emergency.time_s <= one.hold.time_s and one.emergency.distance <= one.hold.distance


def test_a_change_per_step_stops_as_its_velocity():
    first, *_, last = stops(shipped_robot("libero_panda"))
    assert (first.name, first.unit, first.speed) == ("dx", "m", 1.0)
    assert (last.name, last.unit, last.speed) == ("drz", "rad", 6.0)
