from __future__ import annotations

import math

import numpy as np
import pytest

from asyncvla_ros.common.calibration import (
    ReliabilityBin,
    auroc,
    expected_calibration_error,
    reliability,
)


def test_auroc_on_worked_numbers():
    assert auroc(np.array([1.0, 2, 3, 4]), np.array([False, False, True, True])) == 1.0
    assert auroc(np.array([1.0, 1]), np.array([False, True])) == 0.5
    assert auroc(np.array([3.0, 1, 2]), np.array([False, True, True])) == 0.0
    # Of four pairs, three are in order and none is tied.
    assert auroc(np.array([[1.0, 3], [2, 4]]), np.array([[False, False], [True, True]])) == 0.75
    assert math.isnan(auroc(np.ones(2), np.ones(2, bool)))


def test_reliability_on_worked_numbers():
    """Bins of a fifth: 0.1 and 0.15 share the first; 1.0 belongs to the last."""
    diagram = reliability(np.array([0.1, 0.15, 0.5, 1.0]), np.array([0.0, 1.0, 0.9, 1.0]), bins=5)
    assert diagram == (
        ReliabilityBin(0.125, 0.5, 2),
        ReliabilityBin(0.5, 0.9, 1),
        ReliabilityBin(1.0, 1.0, 1),
    )
    # (2 * 0.375 + 0.4 + 0) / 4
    assert expected_calibration_error(diagram) == pytest.approx(0.2875)


def test_a_coin_that_knows_its_odds_is_calibrated():
    rng = np.random.default_rng(0)
    odds = rng.random(200_000)
    heads = (rng.random(odds.size) < odds).astype(float)
    assert expected_calibration_error(reliability(odds, heads)) < 0.01
    assert len(reliability(odds, heads)) == 15
