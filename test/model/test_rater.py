from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.config import AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.rater import (
    absolute_label,
    confidence_label,
    pairwise_loss,
    relative_label,
    token_errors,
)
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.types import CheckpointError


def test_errors_are_means_over_real_dims():
    draft, truth = torch.tensor([[[1.0, 3.0, 99.0]]]), torch.tensor([[[0.0, 1.0, 0.0]]])
    assert token_errors(draft, truth, torch.tensor([1.0, 1.0, 0.0])).item() == pytest.approx((1 + 4) / 2)


def test_the_papers_label_on_worked_numbers():
    """With e = (0, 1, 4): q = 0.01 + 0.98 * (4 - e) / 4."""
    label = relative_label(torch.tensor([[0.0, 1.0, 4.0]]))
    torch.testing.assert_close(label, torch.tensor([[0.99, 0.745, 0.01]]), atol=1e-5, rtol=0)


def test_the_papers_label_always_has_a_worst_action_and_the_absolute_one_does_not():
    good = torch.tensor([[1e-4, 2e-4, 3e-4]])
    assert relative_label(good).min() < 0.02
    assert absolute_label(good, scale=0.1).min() > 0.99


def test_absolute_label_is_a_half_at_its_scale():
    assert absolute_label(torch.tensor(0.3), 0.3).item() == pytest.approx(0.5)


def test_per_step_label_has_a_scale_for_each_place():
    config = RaterConfig(label="per_step", error_scale=(0.1, 0.3))
    label = confidence_label(torch.tensor([[0.1, 0.1], [0.3, 0.3]]), config)
    torch.testing.assert_close(label, torch.tensor([[0.5, 0.75], [0.25, 0.5]]))


def test_unknown_label_lists_the_choices():
    with pytest.raises(
        CheckpointError, match=r"'best', choose one of .'absolute', 'per_step', 'relative', 'pair"
    ):
        RaterConfig(label="best")


def test_pairs_are_taught_by_their_order_at_each_place_and_as_chunks():
    """One observation, two drafts, two places, of which the first is executed."""
    errors = torch.tensor([[[0.1, 0.9], [0.2, 0.3]]])
    right = torch.tensor([[[5.0, -5.0], [-5.0, 5.0]]])
    # At their places both pairs are right by 10; as chunks the logits are equal: log 2.
    assert pairwise_loss(right, errors, executed=1).item() == pytest.approx(0.6931 + 4.5e-5, abs=1e-4)
    # Of whole chunks too, the first draft is the better one if only its first action is executed.
    assert pairwise_loss(right + torch.tensor([[[9.0], [0.0]]]), errors, 1) < 4.6
    assert pairwise_loss(-right, errors, 1).item() == pytest.approx(10 + 0.6931, abs=1e-3)
    equal = torch.ones(1, 3, 2)
    assert pairwise_loss(torch.randn(1, 3, 2), equal, 2) == 0


def test_a_common_shift_of_an_observation_teaches_nothing():
    logits, errors = torch.randn(4, 5, 6), torch.rand(4, 5, 6)
    shifted = pairwise_loss(logits + torch.randn(4, 1, 1), errors, 3)
    torch.testing.assert_close(shifted, pairwise_loss(logits, errors, 3))


def test_pairwise_stays_calibrated_by_an_absolute_label():
    config = RaterConfig(label="pairwise", error_scale=0.3)
    assert confidence_label(torch.tensor(0.3), config).item() == pytest.approx(0.5)


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
    certain = model.rate(prefix, draft, torch.zeros(2, 8, 1))
    assert not torch.allclose(certain, model.rate(prefix, draft, torch.ones(2, 8, 1)))
    with pytest.raises(ValueError, match=r"reads .'variance',., expected signals"):
        model.rate(prefix, draft)


@torch.no_grad()
def test_a_rater_may_read_several_signals(inputs: Inputs):
    torch.manual_seed(0)
    rater = RaterConfig(num_layers=1, reads=("mean", "variance"))
    model = AsyncVLA(nano_config(32, rater=rater)).eval()
    prefix, draft, signals = model.encode(inputs), torch.zeros(2, 8, 8), torch.zeros(2, 8, 2)
    before = model.rate(prefix, draft, signals)
    for place in (0, 1):
        changed = signals.clone()
        changed[..., place] = 1
        assert not torch.allclose(before, model.rate(prefix, draft, changed))


def test_what_a_rater_reads_survives_a_config_file_and_old_files_read_the_variance():
    config = nano_config(32, rater=RaterConfig(reads=("medoid", "variance")))
    assert AsyncVLAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    for reads in (True, False):
        old = config.to_dict()
        del old["rater"]["reads"]
        old["rater"]["reads_variance"] = reads
        rater = AsyncVLAConfig.from_dict(old).rater
        assert rater is not None and rater.reads == (("variance",) if reads else ())
        assert rater.reads_variance == reads
    old = config.to_dict()
    old["rater"]["label"] = "position"
    assert AsyncVLAConfig.from_dict(old).rater == replace(config.rater, label="per_step")
    for wrong in (("mood",), ("mean", "mean"), "mean"):
        with pytest.raises(CheckpointError, match=r"choose of .'variance', 'mean', 'medoid'., each once"):
            RaterConfig(reads=wrong)  # type: ignore[arg-type]


def test_a_fresh_rater_leaves_the_policy_as_it_is(model: AsyncVLA):
    before, old = model.action_in.weight.clone(), model.rater
    model.attach_rater(RaterConfig(1, "absolute", 0.3, reads=("variance",)))
    assert model.config.rater == RaterConfig(1, "absolute", 0.3, 0.5, reads=("variance",))
    assert torch.equal(model.action_in.weight, before)
    assert old is not None and model.rater is not None and len(model.rater.layers) == 1
    assert not torch.equal(model.rater.action_in.weight, old.action_in.weight)
