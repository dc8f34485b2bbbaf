from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.core.normalization import NormStats
from asyncvla_ros.types import CheckpointError


@pytest.mark.parametrize("mode", ["mean_std", "quantile"])
def test_unnormalize_inverts_normalize(mode: str):
    values = np.random.default_rng(0).normal([1, -2], [3, 0.5], (500, 2))
    stats = NormStats.of(values, mode)
    np.testing.assert_allclose(stats.unnormalize(stats.normalize(values)), values, atol=1e-5)


def test_mean_std_has_zero_mean_and_unit_deviation():
    values = np.random.default_rng(0).normal(5, 2, (1000, 1))
    scaled = NormStats.of(values).normalize(values)
    assert abs(scaled.mean()) < 1e-4 and scaled.std() == pytest.approx(1, abs=1e-4)


def test_a_dim_that_never_moved_does_not_explode():
    stats = NormStats.of(np.ones((10, 1)))
    assert abs(stats.normalize(np.array([1.01]))[0]) <= 0.51


def test_round_trip_through_json_and_errors():
    stats = NormStats.of(np.random.default_rng(0).normal(size=(50, 3)))
    again = NormStats.from_dict(stats.to_dict(), 3, "here")
    np.testing.assert_allclose(again.mean, stats.mean)
    with pytest.raises(CheckpointError, match=r"here: mean has shape \(3,\), expected \(4,\)"):
        NormStats.from_dict(stats.to_dict(), 4, "here")
    with pytest.raises(CheckpointError, match="choose 'mean_std' or 'quantile'"):
        NormStats.from_dict({**stats.to_dict(), "mode": "minmax"}, 3, "here")
