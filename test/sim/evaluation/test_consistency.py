from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.sim.evaluation.consistency import commanded_jerk


def test_jerk_of_a_worked_path() -> None:
    """Steps of 1, 1, 1, 2 units: only the last triple bends, by 1 unit, and it crosses the seam."""
    actions = np.zeros((4, 7))
    actions[:, 0] = [1, 1, 1, 2]
    assert commanded_jerk(actions, [0, 0, 0, 1], 0.05, 20.0) == pytest.approx((0.0, 0.05 * 20**3))
    assert commanded_jerk(actions, [0, 0, 0, 0], 0.05, 20.0) == (pytest.approx(400 / np.sqrt(2)), None)


def test_too_few_actions_have_no_jerk() -> None:
    assert commanded_jerk(np.zeros((2, 7)), [0, 0], 0.05, 20.0) == (None, None)
    assert commanded_jerk(np.zeros((0,)), [], 0.05, 20.0) == (None, None)
