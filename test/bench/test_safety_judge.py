from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.bench.safety_audit import DriverAudit
from support.motions import (
    CRUISE,
    FULL,
    LATE,
    MS,
    RISE,
    T0,
    A,
    J,
    Motion,
    P,
    V,
    at_limits,
    audit,
    gap_at,
    joint,
    output,
    robot,
    seen,
    sent,
)


@pytest.mark.parametrize("adapter", ["forward_velocity", "twist"])
def test_velocities_are_judged_as_such(adapter):
    rate = joint(is_delta=True, minimum=-1.0, maximum=1.0)
    values = FULL.states(LATE)[:, 1]
    one = sent(LATE, values, adapter, rate)
    assert seen(one) == {}
    at_limits(one)
    kinds = {"velocity", "acceleration", "jerk"}
    assert set(seen(sent(LATE, values * 1.1, adapter, rate))) == kinds
    jittered = LATE + MS * (np.arange(len(LATE)) == 25)
    assert set(seen(sent(jittered, values, adapter, rate))) == {"acceleration"}
    stopped = np.where(np.arange(len(LATE)) >= 65, 0.0, values)
    assert set(seen(sent(LATE, stopped, adapter, rate))) == {"acceleration", "jerk"}


def test_after_a_long_gap_a_velocity_goes_on_from_the_last_one():
    rate, index = joint(is_delta=True, minimum=-1.0, maximum=1.0), 62
    ticks = gap_at(index, 700)
    motion = FULL.states(LATE)[:, 1]
    assert motion[index - 1] == motion[index] == pytest.approx(V), "in full motion"
    assert seen(sent(ticks, motion, "twist", rate)) == {}
    from_zero = np.where(np.arange(len(ticks)) >= index, 0.0, motion)
    assert set(seen(sent(ticks, from_zero, "twist", rate))) == {"acceleration", "jerk"}
    # The motion went on braking meanwhile: the driver did not.
    assert seen(sent(ticks, FULL.states(ticks)[:, 1], "twist", rate))


def test_changes_per_step_of_an_action_are_rates():
    rate = joint(is_delta=True, minimum=-V * 0.05, maximum=V * 0.05)
    values = FULL.states(LATE)[:, 1] * 0.05
    assert seen(sent(LATE, values, "action_command", rate)) == {}
    assert seen(sent(LATE, values * 1.001, "action_command", rate)).keys() >= {"position", "velocity"}


def test_a_gripper_moves_its_joint_by_its_travel():
    share, travel = 0.24, (0.04, 0.0)
    grip = joint(minimum=-1.0, maximum=1.0, velocity=share * V, acceleration=share * A, jerk=share * J)
    for size, kinds in ((share, set()), (1.01 * share, {"velocity", "acceleration", "jerk"})):
        one = DriverAudit(robot(grip), output("forward_position", travel=travel))
        one.begin(T0, np.array([0.02]))
        for now, value in zip(LATE, FULL.states(LATE)[:, 0], strict=True):
            one.add(int(now), np.array([0.02 - 0.02 * size * value]))
        assert set(seen(one)) == kinds
    at_limits(one)
    one.add(int(LATE[-1]) + P, np.array([0.041]))
    assert seen(one)["position"] == 1


# To full speed, a moment of it, and a stop at twice the acceleration and six times the jerk.
BRAKE = Motion(
    (
        (RISE, J),
        (CRUISE, 0),
        (RISE, -J),
        (0.1, 0),
        (RISE / 3, -6 * J),
        (V / A / 2 - RISE / 3, 0),
        (RISE / 3, 6 * J),
    )
)


def braked(allow_ns: int | None, over_ns: int | None) -> dict[str, int]:
    """Violations of ``BRAKE`` where a stop is allowed from one time on, and over at another."""
    one = audit("forward_position", joint(stop_acceleration=2 * A, stop_jerk=6 * J))
    one.begin(T0, np.zeros(1))
    for now, value in zip(LATE, BRAKE.states(LATE)[:, 0], strict=True):
        one.add(int(now), np.array([value]))
        if allow_ns is not None and allow_ns <= now:
            one.allow_stop(allow_ns)
            allow_ns = None
        if over_ns is not None and over_ns <= now:
            one.stop_over(over_ns)
            over_ns = None
    return seen(one)


def test_a_stop_may_use_its_own_limits_until_it_is_over():
    begin, end = BRAKE.ends_ns[4], BRAKE.ends_ns[7]
    assert braked(begin, end) == {} == braked(begin, None)
    assert set(braked(None, None)) == {"acceleration", "jerk"}
    assert set(braked(begin, begin + 100 * MS)) == {"acceleration", "jerk"}


# Pose: a turn about an axis of no coordinate plane, along z.
POSE = ("x", "y", "z", "r11", "r21", "r31", "r12", "r22", "r32")
AXIS = np.array([2.0, -1.0, 2.0]) / 3


def turned(angle: float, x: float = 0.0) -> np.ndarray:
    """(9,) numbers of a pose (Rodrigues)."""
    k = np.array([[0, -AXIS[2], AXIS[1]], [AXIS[2], 0, -AXIS[0]], [-AXIS[1], AXIS[0], 0]])
    matrix = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    return np.concatenate([[x, 0, 0], matrix[:, 0], matrix[:, 1]])


def posed(ticks, rows, turn_limit: float = 0.5) -> DriverAudit:
    """Rows of (9,) poses; entries may change by less than the whole may turn."""
    dofs = [joint(name) for name in POSE[:3]]
    for index, name in enumerate(POSE[3:]):
        dofs.append(joint(name, minimum=-1.0, maximum=1.0, velocity=turn_limit if index == 4 else 0.1))
    made = robot(*dofs, action_space="ee_pose", outputs=(output("pose", *POSE),))
    one = DriverAudit(made, made.outputs[0])
    one.begin(int(ticks[0]), rows[0])
    for now, row in zip(ticks, rows, strict=True):
        one.add(int(now), row)
    return one


def test_a_pose_turns_no_faster_than_the_largest_limit_of_its_entries():
    angles = 0.5 * (LATE - LATE[0]) / 1e9 + 3.0
    clean = posed(LATE, [turned(angle, x) for angle, x in zip(angles, FULL.states(LATE)[:, 0], strict=True)])
    assert seen(clean) == {}, "through a half turn as well"
    assert clean.metrics()["largest_share_of_limit"]["velocity"] > 0.99
    fast = posed(LATE, [turned(1.01 * (angle - 3)) for angle in angles])
    assert set(seen(fast)) == {"velocity"}
    assert set(seen(posed(LATE[:5], [turned(a) for a in (0, 0, np.pi - 1e-6, 0, 0)]))) == {"velocity"}


def test_a_pose_is_a_rotation():
    rows = [turned(0.4) for _ in LATE[:5]]
    rows[3] = rows[3] * np.where(np.arange(9) == 3, 1 + 2e-5, 1)
    found = posed(LATE[:5], rows, turn_limit=9.0)
    assert seen(found) == {"position": 1}
    jump = [turned(0.0, x) for x in (0, 0, 0.1, 0.1)]
    assert set(seen(posed(LATE[:4], jump))) == {"velocity", "acceleration", "jerk"}
