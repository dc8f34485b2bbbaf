from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.common.normalization import MIN_DELTA_STD, MIN_STD, NormStats
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


def test_small_changes_per_step_are_scaled_if_their_floor_allows_it():
    values = np.random.default_rng(0).normal(0, 0.003, (1000, 1))
    scaled = NormStats.of(values, floor=MIN_DELTA_STD).normalize(values)
    assert scaled.std() == pytest.approx(1, abs=1e-4)
    assert NormStats.of(values).normalize(values).std() == pytest.approx(0.15, abs=0.01)


def test_older_checkpoints_have_the_floor_of_then():
    stats = NormStats.of(np.ones((10, 1)), floor=0.5)
    assert NormStats.from_dict(stats.to_dict(), 1, "here").floor == 0.5
    older = {k: v for k, v in stats.to_dict().items() if k != "floor"}
    assert NormStats.from_dict(older, 1, "here").floor == MIN_STD
    with pytest.raises(CheckpointError, match="here: floor is 0, expected a number above 0"):
        NormStats.from_dict({**older, "floor": 0}, 1, "here")


def test_round_trip_through_json_and_errors():
    stats = NormStats.of(np.random.default_rng(0).normal(size=(50, 3)))
    again = NormStats.from_dict(stats.to_dict(), 3, "here")
    np.testing.assert_allclose(again.mean, stats.mean)
    with pytest.raises(CheckpointError, match=r"here: mean has shape \(3,\), expected \(4,\)"):
        NormStats.from_dict(stats.to_dict(), 4, "here")
    with pytest.raises(CheckpointError, match="choose 'mean_std' or 'quantile'"):
        NormStats.from_dict({**stats.to_dict(), "mode": "minmax"}, 3, "here")
