from __future__ import annotations

import pytest
import torch

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.rater import absolute_label, confidence_label, relative_label, token_errors
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.types import CheckpointError


def test_errors_are_means_over_real_dims():
    draft, truth = torch.tensor([[[1.0, 3.0, 99.0]]]), torch.tensor([[[0.0, 1.0, 0.0]]])
    assert token_errors(draft, truth, torch.tensor([1.0, 1.0, 0.0])).item() == pytest.approx((1 + 4) / 2)


def test_the_papers_label_on_worked_numbers():
    """e = (0, 1, 4): q = 0.01 + 0.98 * (4 - e) / 4."""
    label = relative_label(torch.tensor([[0.0, 1.0, 4.0]]))
    torch.testing.assert_close(label, torch.tensor([[0.99, 0.745, 0.01]]), atol=1e-5, rtol=0)


def test_the_papers_label_always_has_a_worst_action_and_the_absolute_one_does_not():
    good = torch.tensor([[1e-4, 2e-4, 3e-4]])
    assert relative_label(good).min() < 0.02
    assert absolute_label(good, scale=0.1).min() > 0.99


def test_absolute_label_is_a_half_at_its_scale():
    assert absolute_label(torch.tensor(0.3), 0.3).item() == pytest.approx(0.5)


def test_position_label_has_a_scale_for_each_place():
    config = RaterConfig(label="position", error_scale=(0.1, 0.3))
    label = confidence_label(torch.tensor([[0.1, 0.1], [0.3, 0.3]]), config)
    torch.testing.assert_close(label, torch.tensor([[0.5, 0.75], [0.25, 0.5]]))


def test_unknown_label_lists_the_choices():
    with pytest.raises(CheckpointError, match=r"'best', choose one of .'absolute', 'position', 'relative'"):
        RaterConfig(label="best")


def test_confidence_is_a_probability_per_action_and_depends_on_the_draft(model: AsyncVLA, inputs: Inputs):
    with torch.no_grad():
        prefix = model.encode(inputs)
        first, second = model.rate(prefix, torch.zeros(2, 8, 8)), model.rate(prefix, torch.ones(2, 8, 8))
    assert first.shape == (2, 8) and ((first > 0) & (first < 1)).all()
    assert not torch.equal(first, second)


def test_rating_gives_the_policy_no_gradient(model: AsyncVLA, inputs: Inputs):
    assert model.rater is not None
    model.rater(model.encode(inputs), torch.zeros(2, 8, 8)).sum().backward()
    assert all(p.grad is None for p in model.backbone.parameters())
    assert model.rater.out.weight.grad is not None


@torch.no_grad()
def test_a_rater_may_read_the_denoising_variance_and_asks_for_it(inputs: Inputs):
    torch.manual_seed(0)
    model = AsyncVLA(nano_config(32, rater=RaterConfig(num_layers=1, reads=("variance",)))).eval()
    prefix, draft = model.encode(inputs), torch.zeros(2, 8, 8)
    certain = model.rate(prefix, draft, torch.zeros(2, 8))
    assert not torch.allclose(certain, model.rate(prefix, draft, torch.ones(2, 8)))
    with pytest.raises(ValueError, match="reads the denoising variance"):
        model.rate(prefix, draft)


def test_a_fresh_rater_leaves_the_policy_as_it_is(model: AsyncVLA):
    before, old = model.action_in.weight.clone(), model.rater
    model.attach_rater(RaterConfig(1, "absolute", 0.3, reads=("variance",)))
    assert model.config.rater == RaterConfig(1, "absolute", 0.3, 0.5, reads=("variance",))
    assert torch.equal(model.action_in.weight, before)
    assert old is not None and model.rater is not None and len(model.rater.layers) == 1
    assert not torch.equal(model.rater.action_in.weight, old.action_in.weight)
