from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asyncvla_ros.control.safety import Limiter, RejectReason, check_chunk
from support.contracts import DOFS, MS, STEP_NS, chunk, libero_panda

ROBOT = libero_panda()


def _actions(row: int, column: int, value: float) -> np.ndarray:
    actions = np.zeros((8, 7), np.float32)
    actions[row, column] = value
    return actions


REJECTED = [
    ({"action_space": "ee_pose"}, RejectReason.WRONG_ACTION_SPACE, "expected delta_ee_pose, found 'ee_pose'"),
    ({"dof_names": DOFS[::-1]}, RejectReason.WRONG_NAMES, "found gripper, drz"),
    ({"dof_names": ()}, RejectReason.WRONG_NAMES, "found none"),
    ({"actions": np.zeros((8, 6), np.float32)}, RejectReason.WRONG_SHAPE, "found (8, 6)"),
    ({"actions": np.zeros(50, np.float32)}, RejectReason.WRONG_SHAPE, "found (50,)"),
    ({"confidence": np.ones(7, np.float32)}, RejectReason.WRONG_SHAPE, "confidence of shape (8,)"),
    ({"refined": np.ones(9, bool)}, RejectReason.WRONG_SHAPE, "refined of shape (8,)"),
    ({"action_period_ns": 100 * MS}, RejectReason.WRONG_STEP, "expected 0.05 s, found 0.1 s"),
    ({"action_period_ns": 0}, RejectReason.WRONG_STEP, "found 0 s"),
    ({"actions": _actions(3, 6, np.nan)}, RejectReason.NON_FINITE, "1 values, first gripper = nan at"),
    ({"actions": _actions(0, 0, -np.inf)}, RejectReason.NON_FINITE, "first dx = -inf at index 0"),
    ({"confidence": np.full(8, np.nan, np.float32)}, RejectReason.NON_FINITE, "confidence in [0, 1]"),
    ({"stamp_ns": -501 * MS}, RejectReason.STALE, "observed 0.501 s ago, limit 0.5 s"),
    ({"stamp_ns": -400 * MS}, RejectReason.EXPIRED, "it spans 0.400 s: no action left"),
    ({"stamp_ns": 51 * MS}, RejectReason.FROM_THE_FUTURE, "stamped 0.051 s ahead, limit one control step"),
]


@pytest.mark.parametrize(("changes", "reason", "text"), REJECTED)
def test_rejections(changes, reason, text):
    rejection = check_chunk(chunk(**changes), ROBOT, now_ns=0)
    assert rejection is not None and rejection.reason is reason
    assert text in rejection.text
    assert str(rejection).startswith(reason.value)


@pytest.mark.parametrize("age_ms", [-50, 0, 399])
def test_good_chunks_pass(age_ms):
    assert check_chunk(chunk(stamp_ns=-age_ms * MS, confidence=np.full(8, 0.5)), ROBOT, 0) is None


@given(arrays(np.float32, 7, elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_clamped_commands_are_within_limits_and_counted(values):
    limiter = Limiter(ROBOT.dofs)
    clamped = limiter.clamp(values)
    for dof, before, after, count in zip(ROBOT.dofs, values, clamped, limiter.counts, strict=True):
        assert np.float32(dof.minimum) <= after <= np.float32(dof.maximum)
        assert (after != before) == bool(count)


def test_a_full_scale_action_is_not_clamped():
    limiter = Limiter(ROBOT.dofs)
    full = np.ones(7, np.float32) * ROBOT.scale
    assert (limiter.clamp(full) == full).all()
    assert (limiter.clamp(-full) == -full).all()
    assert not limiter.counts.any()


def test_step_tolerance_admits_rounding():
    third = replace(ROBOT, action_hz=30.0)
    assert check_chunk(chunk(action_period_ns=33_333_333), third, STEP_NS) is None
