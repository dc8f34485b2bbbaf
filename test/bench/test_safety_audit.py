from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.bench.safety_audit import DriverAudit
from asyncvla_ros.bench.safety_drivers import Trajectory, TrajectoryDriver
from asyncvla_ros.robot.contract import Dof
from support.motions import FULL, LATE, MS, T0, Motion, P, V, at_limits, audit, gap_at, joint, seen, sent


def trajectory(motion: Motion, now_ns: int, begin_ns: int | None = None) -> Trajectory:
    """From now to rest, with a point wherever the jerk changes."""
    begin_ns = now_ns if begin_ns is None else begin_ns
    times = [begin_ns, *(time for time in motion.ends_ns if time > begin_ns + MS // 10)]
    states = motion.states(np.array(times))[..., None]
    states[-1, 1:] = 0
    return Trajectory(begin_ns, np.array(times) - begin_ns, states[:, 0], states[:, 1], states[:, 2])


def driven(
    ticks, *, from_desired=True, lead_ns=0, dof: Dof | None = None, spoil=lambda message: message, at=()
) -> DriverAudit:
    """After the motion was sent piecewise at ``ticks``, spoiled where ``at`` says."""
    one, driver = audit("joint_trajectory", dof), TrajectoryDriver(interpolate_from_desired=from_desired)
    driver.restart(T0 - 1, np.zeros(1))
    one.begin(T0, np.zeros(1))
    for index, now in enumerate(ticks):
        driver.measure(np.array(FULL.states([now - 100 * MS])[0, :1]))
        message = trajectory(FULL, now, now + lead_ns)
        message = spoil(message) if index in at else message
        one.watch(driver, now)
        assert driver.receive(now, message) == ""
    one.watch(driver, int(ticks[-1]) + 10**9)
    return one


@pytest.mark.parametrize("from_desired", [True, False])
def test_trajectories_of_a_motion_are_clean_whenever_they_are_sent(from_desired):
    late = np.delete(LATE, [20, 21, 40, *range(60, 85)])
    one = driven(late, from_desired=from_desired)
    assert seen(one) == {}
    at_limits(one)
    assert one.metrics()["jump_rad_max"] == 0 and one.samples > 600


def test_a_lead_is_clean_from_what_is_demanded_but_not_from_what_is_measured():
    # Off the changes of jerk: between now and the first point the driver knows none of them.
    straight = LATE[(LATE > T0 + 1150 * MS) & (LATE < T0 + 1300 * MS)]
    ticks = np.concatenate([[T0], straight])
    assert seen(driven(ticks, lead_ns=10 * MS)) == {}
    lagging = driven(ticks, lead_ns=10 * MS, from_desired=False)
    assert set(seen(lagging)) == {"velocity", "acceleration", "jerk"}
    assert lagging.metrics()["jump_rad_max"] > 0.25, "a tenth of a second at 3 rad/s"


def shifted(message: Trajectory, by: float) -> Trajectory:
    return replace(message, positions=message.positions + by)


@pytest.mark.parametrize(
    ("spoil", "kinds", "jump"),
    [
        # The motion knows nothing of 1 ms of jitter: it is that much behind, at 3 rad/s.
        (lambda m: replace(m, start_ns=m.start_ns + 1 * MS), {"acceleration", "jerk"}, 0.0),
        # A nominal period after a tick that was late by 80 ms: 0.18 rad backwards.
        (lambda m: shifted(m, by=-0.18), {"velocity", "acceleration", "jerk"}, 0.18),
        (lambda m: shifted(m, by=1e-5), {"jerk"}, 0.0),
        (
            lambda m: replace(m, positions=np.zeros_like(m.positions)),
            {"velocity", "acceleration", "jerk"},
            0.5,
        ),
        (lambda m: replace(m, positions=m.positions * np.nan), {"nonfinite"}, 0.0),
        (lambda m: replace(m, accelerations=m.accelerations + 0.2), {"jerk"}, 0.0),
    ],
)
def test_a_break_in_a_trajectory_is_seen(spoil, kinds, jump):
    one = driven(LATE, at=[65], spoil=spoil)
    assert kinds <= set(seen(one)), seen(one)
    assert one.metrics()["jump_rad_max"] >= 0.9 * jump


def test_positions_alone_are_joined_by_straight_lines():
    assert seen(driven(LATE, at=range(999), spoil=lambda m: replace(m, accelerations=None))) == {}
    lines = driven(LATE, at=[8], spoil=lambda m: replace(m, velocities=None, accelerations=None))
    assert set(seen(lines)) >= {"acceleration", "jerk"}


def test_the_end_of_the_range_counts_between_points_too():
    assert seen(driven(LATE, dof=joint(maximum=FULL.knots[1][-1, 0]))) == {}
    short = seen(driven(LATE, dof=joint(maximum=FULL.knots[1][-1, 0] - 1e-4)))
    assert set(short) == {"position"}


@pytest.mark.parametrize("adapter", ["forward_position", "action_command"])
def test_positions_at_their_own_times_are_clean(adapter):
    values = FULL.states(LATE)[:, 0]
    one = sent(LATE, values, adapter)
    assert seen(one) == {}
    at_limits(one)
    single = values.astype(np.float32)
    assert seen(sent(LATE, single, adapter, is_float32=True)) == {}
    assert seen(sent(LATE, single, adapter)), "without that the rounding of float32 is too much"


def test_positions_sent_twice_or_within_one_nanosecond_are_clean():
    ticks = np.sort(np.concatenate([LATE, LATE[::7], LATE[::5] + 3, LATE[::3] + 40_000]))
    assert seen(sent(ticks, FULL.states(ticks)[:, 0])) == {}


def test_the_number_of_samples_is_of_commands_only():
    assert sent(LATE, FULL.states(LATE)[:, 0]).metrics()["samples"] == len(LATE)


def resumed(ticks: np.ndarray, index: int) -> np.ndarray:
    """Positions: the motion until ``index``; then from rest, where it was commanded last, a new one."""
    values = FULL.states(ticks)[:, 0]
    again = Motion(FULL.phases, begin_ns=int(ticks[index]) - P)
    values[index:] = values[index - 1] + again.states(ticks[index:])[:, 0]
    return values


@pytest.mark.parametrize("ms", [50, 100, 350, 2000])
def test_after_a_long_gap_a_position_goes_on_from_rest(ms):
    index = 60
    ticks, far = gap_at(index, ms), joint(maximum=99.0)
    assert seen(sent(ticks, resumed(ticks, index), dof=far)) == {}
    gone_on = FULL.states(ticks)[:, 0]
    assert set(seen(sent(ticks, gone_on, dof=far))) >= {"velocity", "acceleration", "jerk"}
    nominal = gone_on.copy()
    nominal[index:] = nominal[index - 1] + V * P / 1e9 * np.arange(1, len(ticks) - index + 1)
    assert set(seen(sent(ticks, nominal, dof=far))) >= {"acceleration", "jerk"}


def test_a_gap_of_two_periods_is_no_gap():
    ticks = T0 + np.array([0, 20, 40, 80, 120, 140]) * MS
    line = V * (ticks - T0) / 1e9
    one = audit("forward_position")
    one.begin(T0, np.zeros(1))
    for now, value in zip(ticks, line, strict=True):
        one.add(int(now), np.array([value]))
    # Only the start at full speed is wrong.
    assert seen(one) == {"acceleration": 1, "jerk": 2}
    one = sent(ticks + np.array([0, 0, 0, 0, 1, 1]), line)
    assert seen(one)["acceleration"] > 2, "one nanosecond more is one"


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        # The motion advances by a nominal period where the tick was 20 ms late.
        (lambda t, x: (gap_at(65, 20), x), {"acceleration", "jerk"}),
        # An extra millisecond of which the motion does not know.
        (lambda t, x: (t + MS * (np.arange(len(t)) == 65), x), {"acceleration", "jerk"}),
        # A doubled step, as of an e-stop that steps without restarting the timer.
        (lambda t, x: (t, x + V * P / 1e9 * (np.arange(len(t)) >= 65)), {"velocity", "acceleration", "jerk"}),
        (lambda t, x: (t, x - 0.3 * (np.arange(len(t)) >= 65)), {"velocity", "acceleration", "jerk"}),
        (lambda t, x: (t, x + 2e-4 * (np.arange(len(t)) == 65)), {"jerk"}),
        (lambda t, x: (t, x * (np.arange(len(t)) != 65)), {"velocity", "acceleration", "jerk"}),
        (lambda t, x: (t, np.where(np.arange(len(t)) == 65, np.nan, x)), {"nonfinite"}),
        (lambda t, x: (t, np.where(np.arange(len(t)) == 65, np.inf, x)), {"nonfinite"}),
        (lambda t, x: (t, x + 1e300 * (np.arange(len(t)) == 65)), {"position", "velocity", "jerk"}),
    ],
)
def test_a_break_in_positions_is_seen(spoil, kinds):
    ticks, values = spoil(LATE, FULL.states(LATE)[:, 0])
    assert kinds <= set(seen(sent(ticks, values)))


def test_commands_are_inside_their_range():
    end = FULL.knots[1][-1, 0]
    values = FULL.states(LATE)[:, 0]
    assert seen(sent(LATE, values, dof=joint(maximum=end))) == {}
    assert set(seen(sent(LATE, values, dof=joint(maximum=end - 1e-9)))) == {"position"}


def test_a_stream_begins_where_the_arm_stood():
    def begun(standing: float, within: float = 0.0) -> DriverAudit:
        one = audit("forward_position")
        one.begin(T0, np.array([standing]), within)
        for now in LATE[:9]:
            one.add(int(now), np.array([0.3]))
        return one

    assert seen(begun(0.3)) == seen(begun(np.nan)) == seen(begun(0.25, within=0.06)) == {}
    jump = begun(0.25, within=0.04)
    assert set(seen(jump)) == {"acceleration", "jerk"} and jump.metrics()["jump_rad_max"] == 0
    assert set(seen(begun(-0.2))) == {"velocity", "acceleration", "jerk"}
    assert begun(-0.2).metrics()["jump_rad_max"] == pytest.approx(0.5 - V * 0.02, abs=1e-6)


def test_what_nobody_obeys_is_not_judged_unless_it_is_no_number():
    one = sent(LATE[:20], FULL.states(LATE[:20])[:, 0])
    one.suspend(int(LATE[20]))
    one.add(int(LATE[20]), np.array([1.5]))
    one.add(int(LATE[21]), np.array([-1.5]))
    assert seen(one) == {} and one.samples == 20
    one.add(int(LATE[22]), np.array([np.nan]))
    one.begin(int(LATE[23]), np.array([-1.5]))
    one.add(int(LATE[23]), np.array([-1.5]))
    assert seen(one) == {"nonfinite": 1} and one.samples == 21


def test_blocks_make_no_difference(monkeypatch):
    values = FULL.states(LATE)[:, 0] + 1e-5 * (np.arange(len(LATE)) % 10 == 4)
    ticks = gap_at(33, 70)
    whole = sent(ticks, values).metrics()
    wrong = {"at": [65], "spoil": lambda message: shifted(message, 1e-5)}
    whole_trajectories = driven(LATE, **wrong).metrics()
    assert whole["violations"]["jerk"] and whole_trajectories["violations"]["jerk"]
    for size in (1, 2, 7):
        monkeypatch.setattr("asyncvla_ros.bench.safety_audit.BLOCK", size)
        assert sent(ticks, values).metrics() == whole
        assert driven(LATE, **wrong).metrics() == whole_trajectories


def test_true_time_does_not_go_backwards():
    one = sent(LATE[:2], [0.0, 0.0])
    with pytest.raises(ValueError, match="expected a time since"):
        one.add(int(LATE[0]), np.zeros(1))
