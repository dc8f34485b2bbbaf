"""Decisions of a network whose drafts, confidence and velocities are known numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.chunk_sampler import ChunkSampler
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.handover import Plan
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.sampled_chunk import SampledChunk
from asyncvla_ros.model.select import select
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ContractError

STEPS = {"denoise_steps": 10, "refine_steps": 5}
# An old plan of zeros, of which one action is executed before the answer arrives.
ZEROS = Plan(torch.zeros(1, 4, 1), 1, 1, torch.zeros(0, 4, 1), torch.zeros(0, 4, dtype=torch.bool))


class Scripted:
    """Stands for the network: samples are counted numbers, ratings and velocities are read from a list."""

    rater = object()

    def __init__(
        self, ratings: list[Any], velocities: list[Any] | None = None, reads: tuple[str, ...] = ()
    ) -> None:
        shape = {"num_denoise_steps": 10, "num_refine_steps": 5, "chunk_size": 4}
        self.config = type("Config", (), shape)
        self.config.rater = RaterConfig(threshold=0.5, reads=("variance",) if velocities else reads)
        self._ratings = [torch.tensor(r) for r in ratings]
        self._velocities = [torch.tensor(v) for v in velocities or []]
        self.samples: list[tuple[Tensor, int]] = []
        self.variances: list[Tensor | None] = []

    def sample(
        self,
        prefix: Any,
        actions: Tensor,
        mask: Tensor,
        noise: Tensor,
        dims: Tensor,
        steps: int,
        record: Any = None,
        guidance: Any = None,
    ) -> Tensor:
        self.samples.append((mask, steps))
        if record is not None:
            record += list(self._velocities.pop(0))
        fresh = 100.0 * len(self.samples) + torch.arange(len(actions))[:, None, None]
        return torch.where(mask[..., None] > 0, fresh.expand_as(actions), actions)

    def rate(self, prefix: Any, draft: Tensor, signals: Tensor | None) -> Tensor:
        self.variances.append(None if signals is None else signals[..., 0])
        return self._ratings.pop(0)


class AnyPrefix:
    def repeat(self, times: int) -> AnyPrefix:
        return self


def sample_chunk(
    network: Any, strategy: Strategy, plan: Plan | None = None
) -> tuple[SampledChunk, list[str]]:
    laps: list[str] = []
    sampler = ChunkSampler(cast(AsyncVLA, network), torch.ones(1), torch.Generator().manual_seed(0))
    sampled = sampler.sample(cast(Prefix, AnyPrefix()), plan, strategy.complete(STEPS), laps.append)
    return sampled, laps


def test_rounds_stop_when_no_confidence_is_low():
    network = Scripted([[[0.9, 0.4, 0.9, 0.4]], [[0.9, 0.9, 0.9, 0.3]], [[0.9, 0.9, 0.9, 0.9]]])
    sampled, laps = sample_chunk(network, Strategy(rounds=5))
    assert laps == ["draft", "rate", "refine", "rate", "refine", "rate"]
    assert network.variances == [None] * 3
    assert [mask.tolist() for mask, _ in network.samples] == [[[1, 1, 1, 1]], [[0, 1, 0, 1]], [[0, 0, 0, 1]]]
    assert [steps for _, steps in network.samples] == [10, 5, 5]
    assert sampled.actions.flatten().tolist() == [100, 200, 100, 300]
    assert sampled.refined.tolist() == [[False, True, False, True]]
    assert sampled.confidence is not None
    assert sampled.confidence.flatten().tolist() == pytest.approx([0.9, 0.4, 0.9, 0.4])


def test_one_round_rates_once():
    network = Scripted([[[0.1, 0.1, 0.9, 0.9]]])
    _, laps = sample_chunk(network, Strategy(denoise_steps=3, refine_steps=2))
    assert laps == ["draft", "rate", "refine"] and [steps for _, steps in network.samples] == [3, 2]


def test_the_most_confident_draft_counts_without_its_frozen_prefix():
    """Means over the last three: 0.5, 0.6, 0.4; over all four the first would win."""
    ratings = [[[1.0, 0.5, 0.5, 0.5], [0.1, 0.6, 0.6, 0.6], [0.9, 0.4, 0.4, 0.4]]]
    sampled, laps = sample_chunk(Scripted(ratings), Strategy("sfm", best_of=3, handover="commit"), ZEROS)
    assert laps == ["draft", "rate"]
    assert sampled.actions.flatten().tolist() == [0, 101, 101, 101]
    assert sampled.confidence is not None
    assert sampled.confidence.flatten().tolist() == pytest.approx([0.1, 0.6, 0.6, 0.6])


def test_variance_is_computed_again_only_where_it_was_refined():
    """Velocities v then -v: estimates v and 0 but for a constant, variance v^2 / 4: 0, 1, 4, 9; then 0.25."""
    draft = [[[0.0], [2.0], [4.0], [6.0]]]
    again = [[[1.0]] * 4]
    signs = torch.tensor([1.0, -1.0])[:, None, None, None]
    velocities = [(signs * torch.tensor(v)[None]).tolist() for v in (draft, again)]
    network = Scripted([], velocities)
    sampled, laps = sample_chunk(network, Strategy(select="variance", threshold=0.5, rounds=3))
    assert sampled.refined.tolist() == [[False, True, True, True]]
    assert laps == ["draft", "refine"] and sampled.confidence is None
    assert sampled.variance is not None and sampled.variance.tolist() == [[0, 1, 4, 9]]


def test_a_rater_that_reads_the_variance_is_told_it():
    """Committed actions have none, kept ones that of their draft, refined ones their own."""
    signs = torch.tensor([1.0, -1.0])[:, None, None, None]
    velocities = [(signs * v * torch.ones(1, 4, 1)).tolist() for v in (2.0, 4.0)]
    ratings = [[[0.1, 0.9, 0.1, 0.9]], [[0.9, 0.9, 0.9, 0.9]]]
    network = Scripted(ratings, velocities)
    sample_chunk(network, Strategy(rounds=2, handover="commit"), ZEROS)
    told = [v.tolist() for v in network.variances if v is not None]
    assert told == [[[0, 1, 1, 1]], [[0, 1, 4, 1]]]


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (Strategy(denoise_steps=1), "denoise_steps"),
        (Strategy("sfm", denoise_steps=1, best_of=2), "denoise_steps"),
        (Strategy(select="variance", threshold=0.1, denoise_steps=1), "denoise_steps"),
        (Strategy(refine_steps=1, rounds=2), "refine_steps"),
    ],
)
def test_one_step_has_no_variance_to_read(strategy: Strategy, name: str):
    velocities = [[[[[1.0]] * 4]] * 2] * 2
    with pytest.raises(ContractError, match=f"{name} is 1, expected more"):
        sample_chunk(Scripted([[[0.1, 0.9, 0.9, 0.9]]], velocities), strategy)


def test_a_rater_reads_only_the_variance_that_it_has_learned():
    velocities = [[[[[1.0]] * 4]] * 2]
    for strategy in (Strategy(denoise_steps=4), Strategy("sfm", denoise_steps=4, best_of=2)):
        with pytest.raises(ContractError, match=r"denoise_steps is 4, but the rater .* variance of 10 steps"):
            sample_chunk(Scripted([], velocities), strategy)
    sample_chunk(Scripted([], velocities), Strategy("sfm", denoise_steps=4))
    sample_chunk(Scripted([], velocities), Strategy(select="variance", threshold=9.0, denoise_steps=4))


def test_the_random_control_is_uniform_over_free_actions():
    mask = torch.tensor([[0.0, 1, 1, 1]])
    confidence = torch.tensor([[0.1, 0.1, 0.9, 0.2]])
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(4)
    for _ in range(600):
        order = torch.randperm(4, generator=generator)
        chosen = select("random", 0.5, mask, confidence, None, order)
        assert int(chosen.sum()) == 2
        counts += chosen[0]
    assert counts[0] == 0
    # Two of three: 400 each, standard deviation 12.
    assert counts[1:].tolist() == pytest.approx([400] * 3, abs=50)


@torch.no_grad()
def test_best_of_one_is_the_first_of_several(model: AsyncVLA, inputs: Inputs):
    one = Inputs(inputs.images[:1], inputs.token_ids[:1], inputs.token_mask[:1], inputs.state[:1])
    prefix, dims, seen = model.encode(one), torch.ones(8), list[Tensor]()
    sample = model.sample

    def record(*arguments: Any) -> Tensor:
        seen.append(sample(*arguments))
        return seen[-1]

    model.sample = record  # type: ignore[method-assign]
    for count in (1, 3):
        sampler = ChunkSampler(model, dims, torch.Generator().manual_seed(0))
        strategy = Strategy("sfm", best_of=count, denoise_steps=2).complete(STEPS)
        sampler.sample(prefix, None, strategy, lambda stage: None)
    assert seen[1].shape == (3, 8, 8) and not torch.allclose(seen[1][0], seen[1][1])
    torch.testing.assert_close(seen[1][:1], seen[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    "strategy",
    [
        Strategy(best_of=2),
        Strategy("sfm", best_of=2),
        Strategy(select="random"),
        Strategy("sfm", handover="keep"),
        Strategy("sfm", handover="keep_random"),
    ],
)
def test_what_needs_a_rater_says_so(model: AsyncVLA, inputs: Inputs, strategy: Strategy):
    without = AsyncVLA(replace(model.config, rater=None)).eval()
    sampler = ChunkSampler(without, torch.ones(8), torch.Generator().manual_seed(0))
    one = Inputs(inputs.images[:1], inputs.token_ids[:1], inputs.token_mask[:1], inputs.state[:1])
    prefix = without.encode(one)
    with pytest.raises(ContractError, match="needs a confidence rater"):
        sampler.sample(prefix, None, strategy.complete(STEPS), lambda stage: None)
    plain = sampler.sample(prefix, None, Strategy().complete(STEPS), lambda stage: None)
    assert plain.confidence is None and not plain.refined.any()


def test_a_rater_that_compares_drafts_is_told_how_each_lies_among_them():
    """Drafts 0, 1 and 2 have the mean 1, and 3 / 2 of their squared distances are 1.5, 0 and 1.5.

    Of what was refined, 200, the distance is to the mean of the same drafts.
    """
    network = Scripted([[[0.1] * 4, [0.9, 0.9, 0.9, 0.2], [0.1] * 4], [[0.9] * 4]], reads=("mean",))
    sample_chunk(network, Strategy(best_of=3, rounds=2))
    first, second = (told.tolist() for told in network.variances if told is not None)
    assert first == [[1.5] * 4, [0.0] * 4, [1.5] * 4]
    assert second == [[0, 0, 0, pytest.approx(1.5 * 99**2)]]
    with pytest.raises(ContractError, match="best_of is 1, but the rater has learned to read how an action"):
        sample_chunk(Scripted([], reads=("medoid",)), Strategy())


def test_a_draft_alone_is_rated_by_a_rater_that_knows_what_it_reads():
    rating = [[0.9, 0.1, 0.9, 0.1]]
    told, laps = sample_chunk(Scripted([rating]), Strategy("sfm"))
    assert laps == ["draft", "rate"] and not told.refined.any()
    assert told.confidence is not None and told.confidence.tolist() == [pytest.approx(rating[0])]
    for reads, strategy in (
        (("mean",), Strategy("sfm")),
        (("variance",), Strategy("sfm", denoise_steps=1)),
        (("variance",), Strategy("sfm", denoise_steps=7)),
    ):
        silent, laps = sample_chunk(Scripted([], reads=reads), strategy)
        assert laps == ["draft"] and silent.confidence is None, (reads, strategy)
    _, laps = sample_chunk(Scripted([rating], reads=("mean",)), Strategy("sfm", best_of=2, choose="mean"))
    assert laps == ["draft", "rate"]
