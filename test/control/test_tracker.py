from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncvla_ros.control.dof_motion import HORIZON
from asyncvla_ros.control.drive import Drive
from asyncvla_ros.control.motion import MotionState
from asyncvla_ros.control.tracker import JerkLimitedTracker
from asyncvla_ros.robot.contract import Dof, WorkspaceLimit

PERIOD = 0.01
PERIOD_NS = 10_000_000
START_NS = 10**12
TOLERANCE = 1e-6


class Tracker(JerkLimitedTracker):
    """Called once per period, exactly."""

    def __init__(self, dofs, period_s, kind=Drive.HELD):
        self.period_ns = round(period_s * 1e9)
        super().__init__(dofs, [kind] * len(dofs), self.period_ns, self.period_ns)
        self.now_ns = START_NS

    def begin(self, positions):
        return super().begin(positions, self.now_ns)

    def follow(self, goals):
        self.now_ns += self.period_ns
        super().follow(goals, self.now_ns)

    def stop(self, *, emergency=False, permits=None):
        self.now_ns += self.period_ns
        super().stop(self.now_ns, emergency=emergency, permits=permits)


def _dof(velocity=2.0, acceleration: float | None = 10.0, jerk: float | None = 500.0, **changes) -> Dof:
    values = {"name": "j", "unit": "rad", "scale": 1.0, "is_delta": False, "minimum": -1.0, "maximum": 1.0}
    return Dof(**{**values, "velocity": velocity, "acceleration": acceleration, "jerk": jerk, **changes})


DOFS = (_dof(), _dof(jerk=None), _dof(acceleration=None, jerk=None), _dof(0.1, 50.0, 1e4))
STEPS = st.lists(
    st.tuples(st.sampled_from(["go", "stop"]), st.floats(-3, 3), st.floats(-4, 4), st.integers(1, 20)),
    min_size=1,
    max_size=20,
)


@given(STEPS, st.floats(-1, 1))
@settings(deadline=None, max_examples=60)
def test_whatever_is_asked_for_the_samples_keep_every_limit(steps, begin):
    tracker = Tracker(DOFS, PERIOD)
    assert not tracker.begin([begin] * len(DOFS))
    samples = [tracker.commands] * 4
    for what, position, velocity, count in steps:
        for _ in range(count):
            if what == "go":
                tracker.follow([MotionState(position, velocity, 0.0)] * len(DOFS))
            else:
                tracker.stop()
            samples.append(tracker.commands)
    path = np.array(samples)
    assert np.abs(path).max() <= 1
    for order, name in enumerate(("velocity", "acceleration", "jerk"), start=1):
        largest = np.abs(np.diff(path, order, axis=0)).max(axis=0) / PERIOD**order
        for dof, value in zip(DOFS, largest, strict=True):
            limit = getattr(dof, name)
            assert limit is None or value <= limit + TOLERANCE, (name, limit)


def test_reaches_a_target_and_a_limit_and_stays():
    tracker = Tracker(DOFS[:1], PERIOD)
    tracker.begin([0.2])
    for target, expected in ((0.7, 0.7), (9.0, 1.0), (-9.0, -1.0)):
        for _ in range(200):
            tracker.follow([MotionState(target, 0.0, 0.0)])
        assert tracker.commands == pytest.approx([expected], abs=1e-5)
    assert tracker.limit_stops == 0


def test_a_steady_ramp_is_met_and_followed():
    tracker = Tracker(DOFS[:1], PERIOD)
    tracker.begin([-0.9])
    for step in range(120):
        tracker.follow([MotionState(-0.9 + 0.01 * step, 1.0, 0.0)])
    assert tracker.commands[0] == pytest.approx(-0.9 + 0.01 * (119 - HORIZON + 1), abs=1e-4)


def test_a_velocity_that_could_not_be_kept_up_is_not_aimed_at():
    tracker = Tracker(DOFS[:1], PERIOD)
    tracker.begin([0.9])
    for _ in range(300):
        tracker.follow([MotionState(0.999, -1.9, 0.0)])
    assert tracker.commands[0] == pytest.approx(0.999, abs=1e-5), "no run-up beyond the limit"


def test_stops_and_is_at_rest():
    tracker = Tracker(DOFS, PERIOD)
    tracker.begin([0.0] * 4)
    for _ in range(10):
        tracker.follow([MotionState(1.0, 0.0, 0.0)] * 4)
    assert not tracker.at_rest
    for _ in range(100):
        tracker.stop()
    assert tracker.at_rest
    rest = tracker.commands
    tracker.stop()
    assert tracker.commands == rest


def test_a_start_outside_the_limits_is_refused_but_for_rounding():
    tracker = Tracker(DOFS[:1], PERIOD)
    assert tracker.begin([1.2]) == "j is measured at 1.2 rad, outside [-1, 1]"
    assert "nan" in tracker.begin([float("nan")])
    assert not tracker.begin([1.00005])
    assert tracker.commands == [1.0]


def test_changes_are_limited_as_rates():
    dof = _dof(0.5, 2.0, 40.0, is_delta=True, minimum=-0.01, maximum=0.05)
    tracker = Tracker([dof], 0.05, Drive.STEP)
    tracker.begin([0.0])
    changes = [0.0] * 3
    for goal in [9.0] * 30 + [-9.0] * 30:
        tracker.follow([MotionState(0.0, goal, 0.0)])
        changes.append(tracker.commands[0])
    rates = np.array(changes) / 0.05
    assert rates.max() == pytest.approx(0.5, abs=1e-5) and rates.min() == pytest.approx(-0.2, abs=1e-5)
    assert np.abs(np.diff(rates)).max() / 0.05 <= 2 + TOLERANCE
    assert np.abs(np.diff(rates, 2)).max() / 0.05**2 <= 40 + TOLERANCE


def test_changes_stay_in_the_workspace_or_come_back_to_it():
    dof = _dof(0.5, 2.0, 40.0, is_delta=True, workspace=WorkspaceLimit("x", -0.1, 0.1))
    tracker = Tracker([dof], 0.05, Drive.STEP)
    tracker.begin([0.0])
    position = 0.0
    for _ in range(50):
        tracker.set_measured([position], [position])
        tracker.follow([MotionState(0.0, 0.5, 0.0)])
        position += tracker.commands[0]
        assert position <= 0.1 + TOLERANCE
    assert position > 0.05
    position = 0.3
    for _ in range(50):
        tracker.set_measured([position], [position])
        tracker.follow([MotionState(0.0, -0.5, 0.0)])
        assert tracker.commands[0] <= TOLERANCE
        position += tracker.commands[0]
    assert -0.1 - TOLERANCE <= position < 0


def test_a_command_that_was_not_sent_is_taken_back():
    tracker, other = (Tracker([_dof()], PERIOD, Drive.TRAJECTORY) for _ in range(2))
    for one in (tracker, other):
        one.begin([0.0])
        one.now_ns += 2 * 10**9
        for _ in range(5):
            one.follow([MotionState(0.5, 0.0, 0.0)])
    tracker.follow([MotionState(-0.5, 0.0, 0.0)])
    tracker.take_back()
    for one in (tracker, other):
        one.now_ns = START_NS + 3 * 10**9
        one.follow([MotionState(0.5, 0.0, 0.0)])
    assert tracker.positions == other.positions and tracker.velocities == other.velocities


def test_the_first_command_that_is_sent_moves_nothing_though_one_was_taken_back():
    tracker = Tracker([_dof()], PERIOD, Drive.HELD)
    tracker.begin([0.25])
    for _ in range(2):
        tracker.follow([MotionState(0.5, 0.0, 0.0)])
        assert tracker.positions == [0.25]
        tracker.take_back()
    tracker.follow([MotionState(0.5, 0.0, 0.0)])
    assert tracker.positions == [0.25]
    tracker.follow([MotionState(0.5, 0.0, 0.0)])
    assert tracker.positions[0] > 0.25


def test_where_only_the_motion_that_was_sent_is_permitted_it_is_followed_to_its_stop():
    ends = {}
    for name in ("kept", "braked"):
        tracker = Tracker([_dof()], PERIOD, Drive.TRAJECTORY)
        tracker.begin([0.0])
        tracker.now_ns += 2 * 10**9
        for _ in range(10):
            tracker.now_ns += PERIOD_NS
            super(Tracker, tracker).follow([MotionState(0.8, 0.0, 0.0)], tracker.now_ns, lambda paths: True)
        (sent,) = tracker.paths
        assert sent is not None
        least = sent.end.position - TOLERANCE if name == "kept" else np.inf
        # The quickest stop ends nearer than the one that was permitted with the motion.
        tracker.stop(permits=lambda paths, least=least: paths[0].end.position >= least)
        ends[name] = tracker.paths[0].end.position - sent.end.position
    assert ends["kept"] == pytest.approx(0.0, abs=TOLERANCE)
    assert ends["braked"] < -1e-4, "where nothing is permitted it brakes"


def test_an_emergency_stop_asks_nobody():
    tracker = Tracker([_dof()], PERIOD, Drive.TRAJECTORY)
    tracker.begin([0.0])
    tracker.now_ns += 2 * 10**9
    tracker.follow([MotionState(0.8, 0.0, 0.0)])
    asked = []
    tracker.stop(emergency=True, permits=lambda paths: bool(asked.append(paths)))
    assert not asked


@pytest.mark.parametrize("way", [0.0, 0.4])
def test_a_driver_gets_time_for_the_way_from_wherever_the_arm_was(way):
    tracker, jerk = Tracker([_dof(following_error=0.1)], PERIOD, Drive.TRAJECTORY), 500.0
    super(Tracker, tracker).begin([0.5], START_NS, 0.0, [way])
    (path,) = tracker.paths
    duration_s = (path.start_ns - START_NS) / 1e9
    # The quintic from rest to rest has a jerk of 60 d / T³, a speed of 15/8 d / T.
    assert 60 * (way + 0.1) / duration_s**3 <= jerk
    assert 15 / 8 * (way + 0.1) / duration_s <= 2.0


def test_an_unmeasured_gripper_has_time_from_wherever_it_stands():
    gripper = _dof(velocity=4.0, acceleration=40.0, jerk=400.0, holds_command=True)
    tracker = Tracker([gripper], PERIOD, Drive.TRAJECTORY)
    assert tracker.begin([float("nan")]) == ""
    tracker.follow([MotionState(1.0, 0.0, 0.0)])
    (path,) = tracker.paths
    assert path is not None
    # From a tenth of a second of its speed outside of the other end, on a quintic.
    duration_s, way = (path.start_ns - tracker.now_ns) / 1e9, 2.0 + 0.4
    assert 15 / 8 * way / duration_s < 4.0
    assert 10 / 3**0.5 * way / duration_s**2 < 40.0 and 60 * way / duration_s**3 < 400.0
