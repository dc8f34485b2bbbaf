from __future__ import annotations

import pytest
import torch

from asyncvla_ros.model.drafts import medoid
from asyncvla_ros.model.signals import action_signals

DIMS = torch.tensor([1.0, 0.0])


def drafts(*values: float) -> torch.Tensor:
    """One observation, chunks of one action; the second dim is padding."""
    return torch.tensor([[[[value, 99.0 * place]] for place, value in enumerate(values)]])


def test_signals_come_in_the_order_in_which_they_are_read():
    """Drafts 0, 1, 5: mean 2, medoid 1; squared distances to the mean, times 3 / 2, are 6, 1.5 and 13.5."""
    three = drafts(0, 1, 5)
    variance = torch.tensor([[[0.1], [0.2], [0.3]]])
    found = action_signals(("medoid", "variance", "mean"), three, three, variance, DIMS)
    assert found is not None and found.shape == (1, 3, 1, 3)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([1.0, 0.0, 16.0]))
    torch.testing.assert_close(found[0, :, 0, 1], torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(found[0, :, 0, 2], torch.tensor([6.0, 1.5, 13.5]))
    assert action_signals((), three, three, None, DIMS) is None


def test_a_refined_action_is_compared_with_the_drafts_that_were():
    found = action_signals(("mean",), drafts(3), drafts(0, 1, 5), None, DIMS)
    assert found is not None and found.flatten().tolist() == pytest.approx([1.5])


def test_the_expected_distance_to_the_mean_does_not_depend_on_how_many_there_are():
    torch.manual_seed(0)
    means = []
    for count in (2, 8):
        many = torch.randn(4000, count, 1, 2)
        found = action_signals(("mean",), many, many, None, DIMS)
        assert found is not None
        means.append(float(found.mean()))
    assert means == pytest.approx([1, 1], abs=0.05)


def test_the_medoid_is_nearest_to_all_others_and_one_far_away_does_not_move_it():
    """Of 0, 1, 2, 8 and 40, 2 is nearest to the others; nearest to the mean, 10.2, is 8."""
    many = torch.cat([drafts(0, 1, 2, 8, 40), drafts(8, 40, 0, 2, 1)]) * DIMS
    assert medoid(many, torch.ones(1, 1)).tolist() == [2, 3]


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="distance to the medoid of drafts is read, expected several, got 1"):
        action_signals(("medoid",), drafts(1), drafts(1), None, DIMS)
    with pytest.raises(ValueError, match="the denoising variance is read"):
        action_signals(("variance",), drafts(1), drafts(1), None, DIMS)
