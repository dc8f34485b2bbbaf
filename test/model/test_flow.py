from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.model import flow


def test_path_runs_from_data_to_noise():
    actions, noise = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    assert torch.equal(flow.interpolate(actions, noise, torch.zeros(2, 4)), actions)
    assert torch.equal(flow.interpolate(actions, noise, torch.ones(2, 4)), noise)


def test_kept_tokens_stand_on_the_data_end_of_the_path():
    actions, noise = torch.randn(1, 3, 2), torch.randn(1, 3, 2)
    times = torch.tensor([[1.0, 0.0, 1.0]]) * 0.7
    assert torch.equal(flow.interpolate(actions, noise, times)[:, 1], actions[:, 1])


@given(steps=st.integers(1, 20))
def test_euler_is_exact_on_a_constant_field(steps: int):
    noise, actions = torch.randn(1, 4, 3), torch.randn(1, 4, 3)
    target = flow.velocity_target(actions, noise)
    out = flow.euler_sample(
        lambda x, t, step: target, torch.zeros_like(noise), noise, torch.ones(1, 4), steps
    )
    torch.testing.assert_close(out, actions, atol=1e-5, rtol=1e-5)


@given(bits=st.lists(st.booleans(), min_size=5, max_size=5))
def test_kept_tokens_come_out_bit_identical_even_beside_nan(bits: list[bool]):
    kept, noise = torch.randn(1, 5, 2), torch.randn(1, 5, 2)
    mask = torch.tensor([bits]).float()
    out = flow.euler_sample(lambda x, t, step: torch.full_like(x, torch.nan), kept, noise, mask, 3)
    assert torch.equal(out[mask == 0], kept[mask == 0])


def test_token_times_are_zero_on_kept_tokens_and_fall_from_one():
    seen: list[torch.Tensor] = []

    def field(x: torch.Tensor, times: torch.Tensor, step: int) -> torch.Tensor:
        seen.append(times)
        return torch.zeros_like(x)

    flow.euler_sample(field, torch.zeros(1, 2, 1), torch.zeros(1, 2, 1), torch.tensor([[1.0, 0.0]]), 4)
    torch.testing.assert_close(torch.cat(seen)[:, 0], torch.tensor([1.0, 0.75, 0.5, 0.25]))
    assert not torch.cat(seen)[:, 1].any()


def test_no_steps_is_an_error():
    with pytest.raises(ValueError, match="expected at least 1"):
        flow.euler_sample(
            lambda x, t, step: x, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), torch.ones(1, 1), 0
        )


def test_times_follow_beta_three_halves_one():
    times = flow.sample_times((200_000,), torch.Generator().manual_seed(0))
    assert float(times.mean()) == pytest.approx(1.5 / 2.5, abs=2e-3)
    assert float(times.var()) == pytest.approx(1.5 / (2.5**2 * 3.5), abs=2e-3)


def test_masks_have_the_promised_mixture():
    masks, prefixes = flow.sample_masks(20_000, 8, 0.5, 0.2, torch.Generator().manual_seed(0))
    place, chosen = torch.arange(8), prefixes > 0
    assert torch.equal(masks[chosen], (place >= prefixes[chosen, None]).float())
    assert 0.15 < float(chosen.float().mean()) < 0.2
    assert masks.any(dim=1).all()
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert float(masks.all(dim=1).float().mean()) > 0.5
    falls = (masks[:, 1:] < masks[:, :-1]).any(dim=1)
    # Only the independent 30 % can return to 0 after a 1.
    assert 0.15 < float(falls.float().mean()) < 0.3


def test_loss_ignores_kept_tokens_and_padded_dims():
    predicted, target = torch.zeros(1, 3, 4), torch.ones(1, 3, 4)
    mask, dims = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    reference = flow.masked_velocity_loss(predicted, target, mask, dims)
    predicted[0, 1] = 1e6
    predicted[..., 2:] = 1e6
    assert flow.masked_velocity_loss(predicted, target, mask, dims) == reference == 1


def test_denoising_variance_on_worked_numbers():
    """Noise 0, steps at tau 1 and 1/2, velocities 1 then 3: estimates 0 - 1 = -1 and -1/2 - 3/2 = -2.

    Their variance is 1/4. The second dim goes straight, the third is padding: mean 1/8.
    """
    velocities = [torch.tensor([[[1.0, 2.0, 50.0]]]), torch.tensor([[[3.0, 2.0, -50.0]]])]
    variance = flow.denoising_variance(velocities, torch.tensor([1.0, 1.0, 0.0]))
    assert variance.tolist() == [[0.125]]


def test_denoising_variance_is_that_of_the_estimates_on_the_path():
    estimates: list[torch.Tensor] = []
    velocities: list[torch.Tensor] = []

    def field(x: torch.Tensor, times: torch.Tensor, step: int) -> torch.Tensor:
        v = torch.sin(3 * x) + times[..., None]
        estimates.append(x - times[..., None] * v)
        return v

    noise = torch.randn(2, 3, 2)
    flow.euler_sample(field, noise, noise, torch.ones(2, 3), 5, velocities)
    expected = torch.stack(estimates).var(0, correction=0).mean(-1)
    torch.testing.assert_close(flow.denoising_variance(velocities, torch.ones(2)), expected)


def test_velocities_are_handed_out_without_changing_the_sample():
    def field(x: torch.Tensor, times: torch.Tensor, step: int) -> torch.Tensor:
        return x * times[..., None]

    noise, mask = torch.randn(1, 3, 2), torch.tensor([[1.0, 0.0, 1.0]])
    velocities: list[torch.Tensor] = []
    watched = flow.euler_sample(field, torch.zeros(1, 3, 2), noise, mask, 4, velocities)
    assert torch.equal(watched, flow.euler_sample(field, torch.zeros(1, 3, 2), noise, mask, 4))
    assert len(velocities) == 4 and torch.equal(velocities[0][0, 0], noise[0, 0])


def test_parts_of_an_older_plan_end_before_the_chunk_and_begin_after_what_is_executed():
    generator = torch.Generator().manual_seed(0)
    masks, prefixes = flow.sample_masks(5_000, 8, 0.3, 0.3, generator)
    mixed, executed = flow.keep_of_plan(masks, prefixes, 3, generator)
    same = masks.all(dim=1) | (prefixes > 0)
    assert torch.equal(mixed[same], masks[same]) and torch.equal(executed[same], prefixes[same])
    # A plan made three steps ago has five actions left; up to half a chunk is executed meanwhile.
    assert mixed[~same][:, 5:].all() and set(executed[~same].tolist()) == {0, 1, 2, 3, 4}
    leading = torch.arange(8) < executed[~same, None]
    assert not mixed[~same][leading].any()
    later = ~leading & (torch.arange(8) < 5)
    assert torch.equal(mixed[~same][later], masks[~same][later])
    assert flow.keep_of_plan(torch.zeros(1, 4), torch.zeros(1).long(), 0, generator)[0][0, -1] == 1
