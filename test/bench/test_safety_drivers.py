from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.bench.safety_drivers import (
    SERVO_TIMEOUT_NS,
    HeldPositionDriver,
    HeldVelocityDriver,
    PoseDriver,
    ServoDriver,
    Trajectory,
    TrajectoryDriver,
)

MS = 1_000_000
# Any time since the machine started.
T0 = 3_456_789_012_345


def cubic(t: np.ndarray | float) -> np.ndarray:
    """(..., 3) of p = 0.2 + 0.5 t - 3 t² + 4 t³."""
    t = np.asarray(t, float)
    return np.stack([0.2 + 0.5 * t - 3 * t**2 + 4 * t**3, 0.5 - 6 * t + 12 * t**2, -6 + 24 * t], axis=-1)


def along(states: np.ndarray, times_ms, start_ns: int = T0, degree: int = 5) -> Trajectory:
    """Make a trajectory of one joint through (k, 3) states, at rest in the last one."""
    states = states[..., None].copy()
    states[-1, 1:] = 0
    return Trajectory(
        start_ns=start_ns,
        times_ns=np.array(times_ms) * MS,
        positions=states[:, 0],
        velocities=states[:, 1] if degree > 1 else None,
        accelerations=states[:, 2] if degree > 3 else None,
    )


def driver(position: float = 0.0, *, from_desired: bool = True, update_ns: int = 0) -> TrajectoryDriver:
    one = TrajectoryDriver(interpolate_from_desired=from_desired, update_ns=update_ns)
    one.restart(T0 - 1000 * MS, np.array([position]))
    return one


def at(one: TrajectoryDriver, *times_ms: float) -> np.ndarray:
    return one.demand_many(np.array([T0 + round(time * MS) for time in times_ms]))[:, 0]


def test_a_quintic_through_the_states_of_a_cubic_is_that_cubic():
    one, times = driver(), np.array([0, 30, 70, 200, 300])
    assert one.receive(T0, along(cubic(times / 1e3), times)) == ""
    grid = np.linspace(0, 199.9, 57)
    np.testing.assert_allclose(at(one, *grid), cubic(grid / 1e3)[:, 0], atol=1e-12)
    assert one.demand(T0 + 100 * MS) == pytest.approx(0.2 + 0.05 - 0.03 + 0.004, abs=1e-12)


@pytest.mark.parametrize(("degree", "powers"), [(5, 6), (3, 4), (1, 2)])
def test_pieces_are_the_polynomials_that_meet_what_is_given(degree, powers):
    rng = np.random.default_rng(degree)
    states, span_s = rng.normal(size=(3, 3)), 0.08
    one = driver()
    one.receive(T0, along(states, [0, 80, 160], degree=degree))
    # The polynomial, from the linear equations that it meets at both ends.
    rows = [
        [[1.0 * t**p, p * t ** max(p - 1, 0), p * (p - 1) * t ** max(p - 2, 0)] for p in range(powers)]
        for t in (0, span_s)
    ]
    matrix = np.array(rows).transpose(0, 2, 1)[:, : powers // 2].reshape(powers, powers)
    solution = np.linalg.solve(matrix, states[:2, : powers // 2].ravel())
    grid = np.linspace(0, 79.9, 9)
    np.testing.assert_allclose(
        at(one, *grid), np.polynomial.polynomial.polyval(grid / 1e3, solution), atol=1e-9
    )


def test_a_first_point_in_the_past_is_obeyed_at_once():
    one = driver(0.9)
    times = np.array([0, 100, 200, 300])
    one.receive(T0 + 40 * MS, along(cubic(times / 1e3), times))
    np.testing.assert_allclose(at(one, 39.9, 40), [0.9, cubic(0.04)[0]], atol=1e-12)


def test_a_first_point_in_the_future_is_reached_from_what_is_demanded():
    one = driver()
    times = np.array([0, 100, 200])
    one.receive(T0, along(cubic(times / 1e3), times))
    later = np.array([80, 90, 300])
    one.receive(T0 + 50 * MS, along(cubic(later / 1e3), later))
    grid = np.linspace(0, 89.9, 23)
    np.testing.assert_allclose(at(one, *grid), cubic(grid / 1e3)[:, 0], atol=1e-12)


def test_a_first_point_in_the_future_is_reached_from_what_is_measured():
    one = driver(from_desired=False)
    times = np.array([0, 100, 200])
    one.receive(T0, along(cubic(times / 1e3), times))
    one.measure(np.array([-0.4]), np.array([0.25]))
    one.receive(T0 + 50 * MS, along(np.array([[0.0, 0, 0], [0, 0, 0]]), [70, 90]))
    # From -0.4 at 0.25 within 20 ms: in its middle half of the way, plus 5/32 of velocity times time.
    np.testing.assert_allclose(
        at(one, 49.9, 50, 60, 70), [cubic(0.0499)[0], -0.4, -0.2 + 5 / 32 * 0.005, 0.0]
    )
    one.measure(np.array([0.3]))
    one.receive(T0 + 100 * MS, along(np.zeros((1, 3)), [120], degree=1))
    np.testing.assert_allclose(at(one, 100, 110, 120, 500), [0.3, 0.15, 0, 0], atol=1e-12)


def test_the_desired_state_is_dated_one_update_too_early_since_jazzy():
    """At 1 rad/s and 500 Hz the demand jumps ahead by 2 mrad, unless the first point is in the past."""
    line = np.array([[t, 1.0, 0.0] for t in (0.0, 0.1, 0.2)])
    jumps = []
    for first_ms in (30, 10):
        one = driver(update_ns=2 * MS)
        one.receive(T0, along(line, [0, 100, 200]))
        begin = np.array([[first_ms / 1e3, 1.0, 0], [0.1, 1.0, 0], [0.2, 1, 0]])
        one.receive(T0 + 20 * MS, along(begin, [first_ms, 100, 200]))
        jumps.append(float(np.diff(at(one, 19.999999, 20))[0]))
    # Less what the quintic over 12 instead of 10 ms is behind after a sixth of its time.
    behind = 0.002 * (10 / 6**3 - 15 / 6**4 + 6 / 6**5)
    assert jumps == pytest.approx([0.002 - behind, 0.0], abs=2e-9)


def test_after_its_end_the_last_point_is_held():
    one = driver()
    one.receive(T0, along(np.array([[0.1, 0, 0], [0.5, 0, 0]]), [0, 50], degree=3))
    np.testing.assert_allclose(at(one, 25, 50, 51, 60_000), [0.3, 0.5, 0.5, 0.5], atol=1e-12)
    assert one.demand(T0 + 10**12) == 0.5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start_ns": T0 - 201 * MS}, "it ends in the past"),
        ({"velocities": np.full((3, 1), 2e-7)}, "the last velocity is not zero"),
        ({"times_ns": np.array([0, 50, 50]) * MS}, "its times do not increase"),
        ({"positions": np.zeros((3, 2))}, "expected (k, n) = (3, 1), k > 0"),
    ],
)
def test_what_it_refuses_changes_nothing(changes, reason):
    one = driver(0.7)
    good = along(np.zeros((3, 3)), [0, 100, 200])
    assert one.receive(T0, replace(good, **changes)) == reason
    assert one.refused == 1 and at(one, 10) == 0.7
    assert one.receive(T0, replace(good, start_ns=T0 - 200 * MS)) == "", "it ends just now"
    assert one.refused == 1 and at(one, 10) == 0.0


def test_it_checks_neither_limits_nor_for_nan():
    one = driver()
    assert one.receive(T0, along(np.full((2, 3), np.nan), [0, 50])) == ""
    assert np.isnan(at(one, 10)).all()


def test_accelerations_need_velocities():
    with pytest.raises(ValueError, match="expected velocities"):
        Trajectory(T0, np.array([0]), np.zeros((1, 1)), None, np.zeros((1, 1)))


def test_a_restart_forgets_the_trajectory():
    one = driver()
    one.receive(T0, along(cubic(np.array([0, 0.1])), [0, 100]))
    one.restart(T0 + 30 * MS, np.array([-1.0]))
    np.testing.assert_allclose(at(one, 29, 30, 90), [one_piece(0.029), -1, -1])


def one_piece(t: float) -> float:
    """Fit the quintic from the cubic's state at 0 to rest at its position at 0.1."""
    p0, v, a, way, u = 0.2, 0.05, -0.06, cubic(0.1)[0] - 0.2, t / 0.1
    return (
        p0
        + v * u
        + a / 2 * u**2
        + (10 * way - 6 * v - 1.5 * a) * u**3
        + (-15 * way + 8 * v + 1.5 * a) * u**4
        + (6 * way - 3 * v - 0.5 * a) * u**5
    )


def test_what_it_demanded_can_be_asked_for_later_until_it_is_forgotten():
    one, reference = driver(), driver()
    rng, asked, seen = np.random.default_rng(1), [], []
    for tick in range(40):
        now = T0 + 20 * MS * tick + int(rng.integers(5 * MS))
        times = np.array([-10, 15, 35, 60])
        message = along(rng.normal(size=(4, 3)), times, start_ns=now + int(rng.integers(-9, 30)) * MS)
        for each in (one, reference):
            assert each.receive(now, message) == ""
        for ahead in (0, 7 * MS):
            asked.append(now + ahead)
            seen.append(reference.demand(now + ahead)[0])
        if tick in (11, 12, 30):
            np.testing.assert_allclose(one.demand_many(np.array(asked))[:, 0], seen, atol=1e-12)
            one.forget(asked[-2])
            asked, seen = asked[-2:], seen[-2:]
    np.testing.assert_allclose(one.demand_many(np.array(asked))[:, 0], seen, atol=1e-12)
    one.forget(asked[-1])
    with pytest.raises(ValueError, match="expected times since"):
        one.demand_many(np.array(asked))


@pytest.mark.parametrize(
    ("kind", "before", "stale"),
    [
        (HeldPositionDriver, 0.5, 2.0),
        (PoseDriver, 0.5, 2.0),
        (HeldVelocityDriver, 0.0, 2.0),
        (ServoDriver, 0.0, 0.0),
    ],
)
def test_drivers_that_hold_what_they_received(kind, before, stale):
    one = kind()
    one.restart(T0, np.full(2, 0.5))
    one.receive(T0 + 10 * MS, np.full(2, 1.0))
    one.receive(T0 + 20 * MS, np.full(2, 2.0))
    late = T0 + 20 * MS + SERVO_TIMEOUT_NS
    times = np.array([T0, T0 + 10 * MS - 1, T0 + 10 * MS, T0 + 20 * MS, late - 1, late])
    expected = [before, before, 1.0, 2.0, 2.0, stale]
    np.testing.assert_array_equal(one.demand_many(times), np.array(expected)[:, None] * [1, 1])
    assert one.demand(late - 1)[0] == 2.0 and one.demand(late)[0] == stale
    one.forget(T0 + 15 * MS)
    np.testing.assert_array_equal(one.demand_many(times[2:])[:, 0], expected[2:])
    with pytest.raises(ValueError, match="expected times since"):
        one.demand_many(times)
