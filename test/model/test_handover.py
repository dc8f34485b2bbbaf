"""What is left of an old plan, on worked numbers and by a network whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.model import flow
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.chunk_sampler import ChunkSampler
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.drafts import Gripper
from asyncvla_ros.model.handover import Plan, normalized_plan, prefix_weights
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.sampled_chunk import SampledChunk
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ContractError, Previous

LENGTH = 6
# Five places are left of the plan, which was 1, 2, 3, 4, 5; one is executed before the answer arrives.
PLAN = Plan(
    actions=torch.tensor([1.0, 2, 3, 4, 5, 5])[None, :, None],
    length=5,
    delay=1,
    drafts=torch.zeros(0, LENGTH, 1),
    known=torch.zeros(0, LENGTH, dtype=torch.bool),
)
UNIT = NormStats.of(np.array([[-1.0], [1.0]], np.float32))


class Follower:
    """A network that goes on from the mean of what is kept, else answers ``wish`` whatever the noise."""

    def __init__(self, wish: float = 10.0, trust: list[float] | None = None, **rater: Any) -> None:
        shape = {"num_denoise_steps": 5, "num_refine_steps": 5, "chunk_size": LENGTH}
        self.config = type("Config", (), shape)
        self.config.rater = None if trust is None else RaterConfig(threshold=0.5, **rater)
        self._wish, self._trust = wish, trust
        self.noises: list[Tensor] = []
        self.rated: list[Tensor] = []

    def sample(
        self,
        prefix: Any,
        kept: Tensor,
        mask: Tensor,
        noise: Tensor,
        dims: Tensor,
        steps: int,
        velocities: list[Tensor] | None = None,
        guidance: flow.Guidance | None = None,
    ) -> Tensor:
        self.noises.append(noise)
        context = kept[mask == 0]
        goal = context.mean() if len(context) else torch.tensor(self._wish)

        def velocity(x: Tensor, times: Tensor, step: int) -> Tensor:
            return (x - goal) / times.clamp(min=1e-6)[..., None]

        return flow.euler_sample(velocity, kept, noise, mask, steps, velocities, guidance)

    def rate(self, prefix: Any, draft: Tensor, variance: Tensor | None = None) -> Tensor:
        self.rated.append(draft)
        return torch.tensor([self._trust])


def sample_chunk(network: Follower, plan: Plan | None = PLAN, seed: int = 0, **strategy: Any) -> SampledChunk:
    sampler = ChunkSampler(
        cast(AsyncVLA, network), torch.ones(1), torch.Generator().manual_seed(seed), Gripper(0, -100.0)
    )
    chosen = Strategy(**{"mode": "sfm", **strategy}).complete({"denoise_steps": 5, "refine_steps": 5})
    return sampler.sample(cast(Prefix, None), plan, chosen, lambda stage: None)


def values(sampled: SampledChunk) -> list[float]:
    return [round(float(v), 4) for v in sampled.actions.flatten()]


def test_each_handover_keeps_what_it_says():
    trust = [0.1, 0.9, 0.3, 0.9, 0.1, 0.9]
    expected = {
        "switch": [10.0] * 6,
        "commit": [1.0] * 6,
        # Mean of the later ones 0.55: 2 and 4 are kept, and 1 is executed anyway.
        "keep": [1, 2, 2.3333, 4, 2.3333, 2.3333],
        "keep_all": [1, 2, 3, 4, 5, 3],
    }
    for handover, actions in expected.items():
        sampled = sample_chunk(Follower(trust=trust), handover=handover)
        assert values(sampled) == pytest.approx(actions), handover
        kept = [a == b and handover != "switch" for a, b in zip(actions, (1, 2, 3, 4, 5, None), strict=True)]
        assert sampled.kept.tolist() == [kept], handover


def test_the_rater_judges_the_old_plan_whose_last_action_goes_on():
    network = Follower(trust=[0.9] * 6)
    sampled = sample_chunk(network, handover="keep")
    old, draft = (rated.flatten().tolist() for rated in network.rated)
    assert old == [1, 2, 3, 4, 5, 5]
    assert draft == sampled.actions.flatten().tolist(), "to tell its confidence"


def test_a_plan_that_is_not_trusted_on_average_is_released_but_for_what_is_executed():
    sampled = sample_chunk(Follower(trust=[0.9, 0.9, 0.3, 0.3, 0.3, 0.9]), handover="keep")
    assert sampled.kept.tolist() == [[True, *[False] * 5]]


def test_as_many_random_places_are_kept_as_the_rater_would():
    trust, seen = [0.1, 0.9, 0.3, 0.9, 0.1, 0.9], set()
    for seed in range(40):
        kept = sample_chunk(Follower(trust=trust), seed=seed, handover="keep_random").kept[0]
        assert kept[0] and not kept[5] and int(kept.sum()) == 3
        seen.add(tuple(kept.tolist()))
    assert len(seen) == 6, "every two of the four later ones"


def test_handovers_and_counts_of_drafts_share_their_noise():
    noises = []
    for strategy in (
        {"handover": "switch"},
        {"handover": "commit"},
        {"handover": "keep"},
        {"handover": "keep_random"},
        {"handover": "guided"},
        {"handover": "ensemble"},
        {"handover": "switch", "best_of": 3, "choose": "mean"},
    ):
        network = Follower(trust=[0.9] * 6)
        sample_chunk(network, **strategy)
        noises.append(network.noises[0][:1])
    for noise in noises[1:]:
        assert torch.equal(noise, noises[0])


def test_at_least_one_action_is_generated():
    whole = replace(PLAN, length=6, delay=6)
    for handover in ("commit", "keep_all"):
        assert sample_chunk(Follower(), whole, handover=handover).kept.tolist() == [[*[True] * 5, False]]


def test_without_an_old_plan_every_handover_is_a_switch():
    for handover in ("commit", "keep", "keep_random", "keep_all", "guided", "ensemble"):
        sampled = sample_chunk(Follower(trust=[0.9] * 6), None, handover=handover)
        assert values(sampled) == [10.0] * 6 and not sampled.kept.any()


def test_an_ensemble_counts_the_oldest_most():
    drafts = torch.stack([torch.full((LENGTH, 1), v) for v in (0.0, 4.0)])
    known = torch.arange(LENGTH)[None] < torch.tensor([[2], [4]])
    sampled = sample_chunk(Follower(), replace(PLAN, drafts=drafts, known=known), handover="ensemble")
    one, two, three = np.exp(-0.01 * np.arange(3))
    both = (4 * two + 10 * three) / (one + two + three)
    later = (4 * two + 10 * three) / (two + three)
    assert values(sampled) == pytest.approx([both, both, later, later, 10, 10], abs=1e-4)
    assert sampled.draft is not None and sampled.draft.flatten().tolist() == pytest.approx([10.0] * 6)
    assert sampled.kept.sum() == 0


def test_an_ensemble_of_grippers_is_what_most_weight_wants():
    drafts = torch.stack([torch.full((LENGTH, 1), v) for v in (-1.0, -0.8)])
    plan = replace(PLAN, drafts=drafts, known=torch.ones(2, LENGTH, dtype=torch.bool))
    sampler = ChunkSampler(cast(AsyncVLA, Follower(1.0)), torch.ones(1), torch.Generator(), Gripper(0, 0.0))
    strategy = Strategy("sfm", handover="ensemble").complete({"denoise_steps": 1, "refine_steps": 1})
    sampled = sampler.sample(cast(Prefix, None), plan, strategy, lambda stage: None)
    assert values(sampled) == pytest.approx([-0.901] * 6, abs=1e-3)


def test_guidance_moves_the_plan_and_no_further_than_it():
    sampled = sample_chunk(Follower(), handover="guided", guidance=5.0)
    new, old = sampled.actions.flatten(), PLAN.actions.flatten()
    # The last of five steps decides here: tau is 0.2, so g is 0.68 / 0.16, a fifth of it 0.85.
    assert new[0] == pytest.approx(10 - 0.85 * 9)
    assert new[5] == pytest.approx(10.0), "beyond the old plan there is no pull"
    apart = (new - old).abs()[:5] / (10 - old).abs()[:5]
    assert apart.tolist() == sorted(apart.tolist()) and 0.5 < apart[1] < apart[4] < 1
    assert values(sample_chunk(Follower(), handover="guided", guidance=0.0)) == [10.0] * 6
    one_step = sample_chunk(Follower(), handover="guided", guidance=5.0, denoise_steps=1)
    assert one_step.actions.flatten()[0] == pytest.approx(1.0, abs=1e-4), "not five times as far"


@pytest.mark.parametrize("delay", [0, 2, 5, 9])
def test_weights_are_one_while_the_plan_is_executed_then_decay_to_its_end(delay: int):
    weights = prefix_weights(delay, 5, 8).tolist()
    assert weights[: min(delay, 5)] == [1.0] * min(delay, 5) and weights[5:] == [0.0] * 3
    decaying = weights[min(delay, 5) : 5]
    assert all(1 > a > b > 0 for a, b in pairwise(decaying))


def test_the_draft_nearest_to_the_old_plan_is_coherent():
    class Diverse(Follower):
        def sample(self, *given: Any, **more: Any) -> Tensor:
            return torch.tensor([7.0, 3.0, 20.0])[:, None, None].expand(3, LENGTH, 1)

    chosen = {
        choose: sample_chunk(Diverse(), best_of=3, choose=choose) for choose in ("coherent", "medoid", "mean")
    }
    assert {name: values(sampled)[0] for name, sampled in chosen.items()} == {
        "coherent": 3.0,
        "medoid": 7.0,
        "mean": 10.0,
    }
    assert values(sample_chunk(Diverse(), None, best_of=3, choose="coherent"))[0] == 7.0, (
        "the first, without a plan"
    )
    spread = chosen["mean"].variance
    assert spread is not None and spread[0, 0] == pytest.approx((9 + 49 + 100) / 3)


def test_what_is_linear_in_the_noise_cancels_out_of_the_mean_of_a_pair():
    class Noisy(Follower):
        def sample(self, *given: Any, **more: Any) -> Tensor:
            self.noises.append(given[3])
            return 10 + given[3]

    of_two, of_three, medoid = Noisy(), Noisy(), Noisy()
    assert values(sample_chunk(of_two, best_of=2, choose="mean")) == pytest.approx([10.0] * 6)
    third = values(sample_chunk(of_three, best_of=3, choose="mean"))
    assert third == pytest.approx((10 + of_three.noises[0][2].flatten() / 3).tolist(), abs=1e-4)
    assert (of_two.noises[0][0] == of_three.noises[0][0]).all(), "the first draft is the same"
    sample_chunk(medoid, best_of=2, choose="medoid")
    assert (medoid.noises[0][1] != of_two.noises[0][1]).all(), "drafts of which one is chosen are independent"


def test_what_the_policy_cannot_do_is_said_before():
    with pytest.raises(ContractError, match="handover 'keep' has the rater judge the old plan"):
        sample_chunk(Follower(trust=[0.5] * 6, reads=("variance",)), handover="keep")
    with pytest.raises(ContractError, match="only engine 'plain' can"):
        sample_chunk(Follower(), handover="guided", jacobian="full")
    with pytest.raises(ContractError, match="rounds is 2, but select 'variance' of 3 drafts reads how far"):
        far = {"select": "variance", "threshold": 0.1, "choose": "mean"}
        sample_chunk(Follower(), mode="afm", rounds=2, best_of=3, **far)


def test_several_drafts_of_one_step_say_by_their_spread_what_to_generate_again():
    class Unsure(Follower):
        def sample(self, *given: Any, **more: Any) -> Tensor:
            if len(self.noises) or self.noises.append(given[3]):
                return torch.where(given[2][..., None] > 0, torch.tensor(5.0), given[1])
            apart = torch.tensor([0.0, 1, 0, 0, 2, 0])
            return torch.stack([-apart, apart])[..., None]

    strategy = {"select": "variance", "threshold": 0.5, "best_of": 2, "choose": "mean", "denoise_steps": 1}
    sampled = sample_chunk(Unsure(), mode="afm", **strategy)
    assert sampled.variance is not None and sampled.variance.tolist() == [[0, 1, 0, 0, 4, 0]]
    assert values(sampled) == [0, 5, 0, 0, 5, 0]


def test_a_plan_is_cut_to_a_chunk_and_its_last_action_goes_on():
    previous = Previous(np.arange(9, dtype=np.float32)[:, None], 3, (np.ones((2, 1)), np.ones((8, 1))))
    plan = normalized_plan(previous, UNIT, LENGTH, torch.ones(2))
    assert plan is not None and (plan.length, plan.delay) == (6, 3)
    assert plan.actions[0].tolist() == [[v, 0] for v in range(6)]
    assert plan.known.sum(1).tolist() == [2, 6] and plan.drafts.shape == (2, LENGTH, 2)
    short = normalized_plan(Previous(np.array([[1.0], [2.0]]), 1), UNIT, LENGTH, torch.ones(2))
    assert short is not None and short.actions[0, :, 0].tolist() == [1, 2, 2, 2, 2, 2]
    assert normalized_plan(Previous(np.zeros((0, 1)), 0), UNIT, LENGTH, torch.ones(1)) is None


@pytest.mark.parametrize(
    ("previous", "message"),
    [
        (Previous(np.zeros((2, 3)), 1), r"actions of the old plan have shape \(2, 3\), expected \(k, 1\)"),
        (Previous(np.full((2, 1), np.nan), 1), "expected .k, 1. finite numbers"),
        (Previous(np.zeros((2, 1)), 1, (np.zeros(2),)), r"an older draft have shape \(2,\)"),
        (Previous(np.zeros((2, 1)), -1), "the delay of the old plan is -1, expected a whole number"),
    ],
)
def test_a_plan_that_is_none_is_refused(previous: Previous, message: str):
    with pytest.raises(ContractError, match=message):
        normalized_plan(previous, UNIT, LENGTH, torch.ones(1))
