"""What a joint_trajectory_controller demands while commands come, late or not, and when they cease."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from asyncvla_ros.control.drive import Drive
from asyncvla_ros.control.motion import MotionState
from asyncvla_ros.control.output_values import OutputValues
from asyncvla_ros.control.tracker import JerkLimitedTracker
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.motion_limits import motion_limits
from asyncvla_ros.ros.controller.output_messages import joint_trajectory
from support.contracts import MS, shipped_robot
from support.trajectory_controller import TrajectoryController

pytestmark = pytest.mark.ros

ROBOT = shipped_robot("ur5e")
ARM = OutputValues(ROBOT, ROBOT.outputs[1])
DOFS = ROBOT.dofs[:6]
LIMITS = motion_limits(DOFS[0], ROBOT.command_period_ns / 1e9)
NOW_NS, AT_NS, STREAM_MS = 1_800_000_000_123_456_789, 3_456_789_012_345, 2_000
# Times at which the demand is looked at [ms], until long after the last command.
TIMES_MS = np.arange(STREAM_MS + 2_500)

Goal = Callable[[float], MotionState]


def sine(time_s: float) -> MotionState:
    """Well within the limits."""
    return MotionState(0.2 * (1 - np.cos(3 * time_s)), 0.6 * np.sin(3 * time_s), 1.8 * np.cos(3 * time_s))


def leap(time_s: float) -> MotionState:
    """From one end of the range to the other and back, as fast as it may be."""
    return MotionState(9.0 if time_s < 1.2 else -9.0, 0.0, 0.0)


def stream(goal: Goal, late_ms: Callable[[int], int], delay_ms: int) -> np.ndarray:
    """(m,) positions demanded of the elbow at ``TIMES_MS``, while it follows a goal for two seconds.

    Args:
        goal: Of all joints, by the time since the first command [s].
        late_ms: How late the command of that number is sent [ms].
        delay_ms: How long each one is on its way [ms].
    """
    tracker = JerkLimitedTracker(
        DOFS, [Drive.TRAJECTORY] * 6, ROBOT.command_period_ns, lead_ns=ROBOT.command_period_ns
    )
    assert tracker.begin([0.0] * 6, AT_NS - 2_000 * MS) == ""
    controller = TrajectoryController(ARM.output.joints, np.zeros(6), NOW_NS)
    period_ms, ahead_ns = ROBOT.command_period_ns // MS, tracker.goal_ahead_ns(Drive.TRAJECTORY, AT_NS)
    for number in range(STREAM_MS // period_ms):
        since_ns = (number * period_ms + late_ms(number)) * MS
        tracker.follow([goal((since_ns + ahead_ns) / 1e9)] * 6, AT_NS + since_ns)
        values = np.array([*tracker.commands, 0.0])
        command = Command(values, None, NOW_NS, AT_NS + since_ns, (*tracker.paths, None))
        message = joint_trajectory(ARM, command, NOW_NS + since_ns)
        assert controller.accept(message, NOW_NS + since_ns + delay_ms * MS) == ""
    return controller.demand_many(NOW_NS + TIMES_MS * MS)[:, 2]


def derivatives(demand: np.ndarray) -> list[np.ndarray]:
    """Velocity, acceleration and jerk: divided differences of what is demanded at 1 kHz."""
    return [np.diff(demand, order) * 1000**order for order in (1, 2, 3)]


LATENESS: dict[str, Callable[[int], int]] = {
    "on time": lambda number: 0,
    "jitter": lambda number: (0, 5, 1, 8)[number % 4],
    "one by 60 ms": lambda number: 60 if number >= 40 else 0,
    "one by 500 ms": lambda number: 500 if number >= 40 else 0,
}


@pytest.mark.parametrize("delay_ms", [0, 8])
@pytest.mark.parametrize("lateness", LATENESS)
@pytest.mark.parametrize("goal", [sine, leap])
def test_the_demand_keeps_every_limit_in_true_time(goal, lateness, delay_ms):
    demand = stream(goal, LATENESS[lateness], delay_ms)
    limits = (LIMITS.speed, LIMITS.acceleration, LIMITS.jerk)
    for derivative, limit in zip(derivatives(demand), limits, strict=True):
        # A divided difference is a weighted mean of the derivative; the rest is rounding.
        assert np.abs(derivative).max() < limit * 1.001
    assert np.abs(demand).max() <= DOFS[2].maximum
    assert not np.any(demand[-100:] - demand[-1]), "it came to rest by itself"


@pytest.mark.parametrize("lateness", ["on time", "jitter"])
def test_the_demand_follows_a_goal_that_moves_slowly_enough(lateness):
    demand = stream(sine, LATENESS[lateness], 5)[:STREAM_MS]
    wanted = np.array([sine(time / 1e3)[:2] for time in TIMES_MS[:STREAM_MS]])
    assert np.abs(demand - wanted[:, 0])[1000:].max() < 1e-3
    assert np.abs(derivatives(demand)[0] - wanted[:-1, 1])[1000:].max() < 0.01


def test_a_stream_that_ceases_in_full_acceleration_goes_on_for_two_periods_and_brakes():
    goals = {False: MotionState(0.0, 0.0, 0.0), True: MotionState(3.0, 0.0, 0.0)}
    demand = stream(lambda time_s: goals[time_s > 1.6], LATENESS["on time"], 0)
    velocity, acceleration, _ = derivatives(demand)
    period_ms = ROBOT.command_period_ns // MS
    # Sent a period before the end of the stream, it can branch off a period later.
    brakes_ms = STREAM_MS + 2 * period_ms
    assert acceleration[brakes_ms - 2] == pytest.approx(LIMITS.acceleration, rel=1e-3)
    eased = velocity[brakes_ms] + LIMITS.acceleration**2 / (2 * LIMITS.jerk)
    assert velocity[brakes_ms:].max() < eased + 1e-3
    assert acceleration[brakes_ms + 210 :].max() < 1e-4
