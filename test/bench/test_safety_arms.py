from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.bench.safety_arms import ARMS, HAND_RAD, LAG_NS, SAG_RAD, MeasuredArm

MS = 1_000_000
T0 = 3_456_789_012_345
STEP = 5 * MS


def arm(kind: str, seed: int = 0, n: int = 3, **changes) -> MeasuredArm:
    return MeasuredArm(np.random.default_rng(seed), n, kind, **changes)


def walked(one: MeasuredArm, demand, seconds: float = 60.0) -> dict[str, np.ndarray]:
    """Step an arm; return its states and reports. ``demand`` is a function of time [s]."""
    rows: dict[str, list] = {
        "t": [],
        "demand": [],
        "true": [],
        "measured": [],
        "obeys": [],
        "restarted": [],
        "wrong": [],
    }
    for index in range(round(seconds * 1e9 / STEP)):
        t = index * STEP / 1e9
        wanted = np.broadcast_to(np.asarray(demand(t), float), (3,))
        one.step(T0 + index * STEP, wanted)
        values = (t, wanted, one.true(), one.measured(), one.obeys, one.has_restarted, one.is_wrong)
        for name, value in zip(rows, values, strict=True):
            rows[name].append(np.array(value))
    return {name: np.array(values) for name, values in rows.items()}


def sine(t: float) -> float:
    return float(np.sin(t))


@pytest.mark.parametrize("kind", ARMS)
def test_the_same_seed_gives_the_same_arm(kind):
    first, second = walked(arm(kind, 4), sine, 20), walked(arm(kind, 4), sine, 20)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert np.isfinite(first["measured"]).all()


def test_kinds_are_named():
    with pytest.raises(ValueError, match="expected one of ideal, lag"):
        arm("perfect")


def test_an_ideal_arm_is_where_it_is_demanded_to_be():
    rows = walked(arm("ideal"), sine, 5)
    np.testing.assert_allclose(rows["true"], rows["demand"], atol=1e-12)
    np.testing.assert_array_equal(rows["measured"], rows["true"])


def test_arms_lag_by_a_delay_or_by_first_order():
    """Behind a ramp both are late by their lag; only a delay stands still at first."""
    lags, delays = [], 0
    for seed in range(40):
        one = arm("lag", seed)
        rows = walked(one, lambda t: 0.5 * t, 3)
        behind = (rows["demand"] - rows["true"])[-1] / 0.5
        assert behind == pytest.approx(one.lag_ns / 1e9, abs=STEP / 2e9 + 1e-6)
        lags.append(one.lag_ns)
        index = one.lag_ns // STEP // 2
        delays += one.lag_ns > 8 * STEP and not rows["true"][index].any()
    assert 0 <= min(lags) < 0.1 * LAG_NS and 0.9 * LAG_NS < max(lags) <= LAG_NS
    assert 8 <= delays <= 32


def test_an_arm_sags_by_a_constant_when_it_stands_and_when_it_moves():
    one = arm("sag")
    rows = walked(one, lambda t: min(t, 1.0), 4)
    sag = rows["demand"][0] - rows["true"][0]
    assert (sag >= 0).all() and (sag <= SAG_RAD).all() and sag.max() > 0.02
    np.testing.assert_allclose(rows["demand"][-1] - rows["true"][-1], sag, atol=1e-6)


def stretches(rows: dict[str, np.ndarray]) -> list[slice]:
    """While the arm does not obey, and does again half a second later."""
    edges = np.flatnonzero(np.diff(rows["obeys"][:-100].astype(int))) + 1
    return [slice(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=False)]


def test_a_blocked_arm_stands_still_and_closes_up_when_it_is_free():
    one = arm("blocked", 1)
    rows = walked(one, lambda t: 0.2 * t)
    found = stretches(rows)
    assert len(found) > 2
    for stretch in found:
        assert not np.ptp(rows["true"][stretch], axis=0).any()
        assert 0.5 <= len(rows["t"][stretch]) * STEP / 1e9 <= 3.01
        late = rows["demand"][stretch.stop + 95] - rows["true"][stretch.stop + 95]
        assert late == pytest.approx(0.2 * one.lag_ns / 1e9, abs=2e-3)


def test_a_hand_moves_the_arm_smoothly_while_its_drives_are_off():
    reach = np.full(3, -0.3), np.full(3, 0.3)
    one = arm("moved_by_hand", 2, reach=reach)
    rows = walked(one, lambda t: 0.0)
    found = stretches(rows)
    assert len(found) > 2
    for stretch in found:
        true = rows["true"][stretch]
        assert np.ptp(true, axis=0).max() > 0.05 and np.abs(true).max() <= min(HAND_RAD, 0.3)
        np.testing.assert_array_equal(true[-1], true[-len(true) // 5])
        # At most pi / 2 times the mean speed of 0.3 rad within a third of a second.
        assert np.abs(np.diff(true, axis=0)).max() <= np.pi / 2 * 0.3 / 0.33 * STEP / 1e9


def test_a_driver_can_say_that_its_drives_are_off_but_not_that_the_arm_is_blocked():
    for kind, says in (("moved_by_hand", True), ("blocked", False), ("restarts", True)):
        one, seen = arm(kind), set()
        for index in range(8000):
            one.step(T0 + index * STEP, np.zeros(3))
            seen.add((one.obeys, one.has_drives))
        assert seen == {(True, True), (False, not says)}


def test_a_restarted_driver_holds_the_arm_where_it_is():
    one, demand = arm("restarts", 3), np.zeros(3)
    restarts, before = 0, None
    for index in range(12_000):
        # Somebody who does not notice goes on demanding.
        wanted = demand if restarts else np.full(3, np.sin(index * STEP / 1e9))
        one.step(T0 + index * STEP, wanted)
        if one.has_restarted:
            assert before is not None
            np.testing.assert_array_equal(one.true(), before)
            demand, restarts = one.true(), restarts + 1
        elif restarts and one.obeys:
            np.testing.assert_allclose(one.true(), demand, atol=1e-12)
        before = one.true()
    assert restarts > 2


def test_a_report_wraps_to_plus_minus_pi():
    rows = walked(arm("wraps"), lambda t: 7 * np.sin(t), 10)
    assert (rows["measured"] <= np.pi).all() and (rows["measured"] > -np.pi).all()
    turns = (rows["true"] - rows["measured"]) / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)
    assert np.abs(turns).max() == pytest.approx(1)
    one = arm("wraps")
    one.place(T0, np.array([-np.pi, np.pi, 3 * np.pi]))
    np.testing.assert_allclose(one.measured(), np.pi)


def test_now_and_then_one_report_is_wrong():
    rows = walked(arm("zeros"), lambda t: 1.0)
    wrong = rows["wrong"]
    assert 20 < wrong.sum() < 120 and not rows["measured"][wrong].any()
    np.testing.assert_array_equal(rows["measured"][~wrong], rows["true"][~wrong])
    np.testing.assert_allclose(rows["true"], 1.0)


def test_a_placed_arm_obeys_from_there():
    one = arm("moved_by_hand")
    rows = walked(one, lambda t: 0.0, 30)
    assert stretches(rows)
    one.place(T0 + 31 * 10**9, np.ones(3))
    one.step(T0 + 31 * 10**9 + STEP, np.ones(3))
    assert one.obeys and one.has_drives
    np.testing.assert_allclose(one.true(), 1.0)
