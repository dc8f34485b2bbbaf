"""One draft of several, on worked numbers."""

from __future__ import annotations

import pytest
import torch

from asyncvla_ros.model.drafts import Gripper, medoid, nearest, spread, weighted_mean

# Three drafts of two actions of two dims, of which the second is a gripper.
DRAFTS = torch.tensor([[[0.0, 1.0], [0.0, -1.0]], [[1.0, 0.8], [2.0, -0.6]], [[5.0, -1.0], [1.0, 1.0]]])
EQUAL = torch.ones(3, 2)


def test_the_mean_of_a_gripper_is_that_of_the_majority():
    mean = weighted_mean(DRAFTS, EQUAL, Gripper(1, 0.0))
    torch.testing.assert_close(mean, torch.tensor([[[2.0, 0.9], [1.0, -0.8]]]))
    plain = weighted_mean(DRAFTS, EQUAL, None)
    torch.testing.assert_close(plain[0, :, 1], torch.tensor([0.8 / 3, -0.2]))


def test_weights_decide_who_is_the_majority_and_the_last_plan_a_draw():
    heavy = torch.tensor([[1.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
    mean = weighted_mean(DRAFTS, heavy, Gripper(1, 0.0))
    assert mean[0, :, 1].tolist() == [-1.0, 1.0], "three to two; one to one, and the last one counts"


def test_one_plan_is_its_own_mean():
    assert torch.equal(weighted_mean(DRAFTS[:1], EQUAL[:1], Gripper(1, 0.0)), DRAFTS[:1])


def test_the_medoid_is_nearest_to_the_others_where_something_was_generated():
    drafts = torch.tensor([[[0.0], [9.0]], [[1.0], [9.0]], [[3.0], [9.0]]])
    assert medoid(drafts, torch.ones(1, 2)) == 1
    drafts[1, 1] = 0
    assert medoid(drafts, torch.ones(1, 2)) == 0
    assert medoid(drafts, torch.tensor([[1.0, 0.0]])) == 1


def test_the_nearest_to_a_plan_depends_on_how_much_each_place_counts():
    drafts, plan = torch.tensor([[[0.0], [3.0]], [[1.0], [0.0]]]), torch.zeros(1, 2, 1)
    assert nearest(drafts, plan, torch.tensor([1.0, 1.0])) == 1
    assert nearest(drafts, plan, torch.tensor([1.0, 0.1])) == 0


def test_the_spread_is_the_mean_squared_distance_over_real_dims():
    drafts = torch.tensor([[[0.0, 7.0]], [[2.0, 7.0]], [[4.0, 7.0]]])
    drafts[2, 0, 0] = 5
    assert spread(drafts, drafts[1:2], torch.tensor([1.0, 0.0])).item() == pytest.approx(13 / 3)
