from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.sim.simpler.bridge.results import BridgeEpisode, BridgeSettings
from asyncvla_ros.sim.simpler.bridge.rollout import PolicyActor, evaluate, run_episode
from asyncvla_ros.sim.simpler.bridge.tasks import get_task
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError, ContractError, Observation, Previous
from support.bridge import FakeSim, bridge_features
from support.policies import StillPolicy

SIM = "asyncvla_ros.sim.simpler.bridge.rollout.BridgeSim"


class BridgePolicy(StillPolicy):
    """Holds still; remembers what it saw."""

    features = bridge_features()

    def __init__(self) -> None:
        super().__init__()
        self.observations: list[Observation] = []
        self.plans: list[Previous | None] = []

    def infer(self, observation: Observation, strategy=Strategy(), previous=None, seed=None):
        self.observations.append(observation)
        self.plans.append(previous)
        return super().infer(observation, strategy, previous, seed)


def test_an_episode_goes_on_beyond_success_and_tells_both_definitions():
    policy, config = BridgePolicy(), BridgeSettings(("carrot",), (3,), seed=7)
    sim = FakeSim(get_task("carrot"))
    episode = run_episode(sim, PolicyActor(policy, config), config, 3)
    assert (episode.success_last, episode.success_ever) == (False, True)
    assert episode.steps == len(sim.commands) == 60
    assert (episode.init, episode.seed) == (3, 7) and sim.resets == [(3, 7)]
    sim.solved_until = 61
    assert run_episode(sim, PolicyActor(policy, config), config, 3).success_last


def test_the_policy_sees_the_camera_and_state_at_each_inference_and_the_rest_is_cut_off():
    policy, config = BridgePolicy(), BridgeSettings(("eggplant",), (0,), n_action_steps=7)
    sim = FakeSim(get_task("eggplant"))
    episode = run_episode(sim, PolicyActor(policy, config), config, 0)
    assert episode.steps == 120 and len(episode.inference_ms) == 18
    first, second, *_ = policy.observations
    assert list(first.images) == ["image_0"] and first.images["image_0"].shape == (480, 640, 3)
    assert first.instruction == "put eggplant into yellow basket"
    np.testing.assert_allclose(first.state, [0, 0, 0, 0, 0, 0, 0, 1], atol=1e-6)
    assert (first.images["image_0"].max(), second.images["image_0"].max()) == (0, 7)


def test_a_strategy_knows_what_is_left_of_the_plan_but_not_that_of_another_episode():
    policy, config = BridgePolicy(), BridgeSettings(("carrot",), (0,), n_action_steps=3)
    actor = PolicyActor(policy, config)
    for _ in range(2):
        policy.plans.clear()
        run_episode(FakeSim(get_task("carrot")), actor, config, 0)
        first, second, *_ = policy.plans
        assert first is None
        assert second is not None and (len(second.actions), second.delay) == (policy.chunk_size - 3, 0)


def test_noise_depends_on_seed_task_placement_and_inference_alone():
    def seeds(init: int, **changes: object) -> list[int | None]:
        config = replace(BridgeSettings(("carrot",), (init,)), **changes)
        policy = BridgePolicy()
        run_episode(FakeSim(get_task(config.tasks[0])), PolicyActor(policy, config), config, init)
        return policy.seeds

    assert seeds(0) == seeds(0) and len(set(seeds(0))) == 15
    assert not set(seeds(0)) & set(seeds(1))
    assert not set(seeds(0)) & set(seeds(0, seed=1))
    assert not set(seeds(0)) & set(seeds(0, tasks=("spoon",)))


@pytest.fixture
def evaluated(monkeypatch):
    """Metrics of two tasks of which one episode was done before, and the episodes that were told."""
    monkeypatch.setattr(SIM, FakeSim)
    config = BridgeSettings(("carrot", "spoon"), (0, 1))
    done = (BridgeEpisode("spoon", 1, 0, 60, success_last=True, success_ever=True, inference_ms=()),)
    told: list[BridgeEpisode] = []
    return evaluate(config, PolicyActor(BridgePolicy(), config), told.append, done), told


def test_what_was_done_before_is_not_run_but_counts(evaluated):
    metrics, told = evaluated
    assert [(e.task, e.init) for e in told] == [("carrot", 0), ("carrot", 1), ("spoon", 0)]
    assert metrics["n"] == 4
    assert metrics["episodes"][-1] == {
        "task": "spoon",
        "episode": 1,
        "seed": 0,
        "steps": 60,
        "success_last": True,
        "success_ever": True,
    }


def test_the_result_has_both_rates_with_intervals_by_task_and_together(evaluated):
    metrics, _ = evaluated
    assert metrics["success_last"]["rate"] == 0.25 and metrics["success_ever"]["rate"] == 1
    low, high = metrics["success_last"]["ci95"]
    assert 0 < low < 0.25 < high < 1
    assert metrics["per_task"]["carrot"]["success_last"]["successes"] == 0
    assert metrics["per_task"]["spoon"]["success_last"]["successes"] == 1


def test_the_result_says_how_it_was_made(evaluated):
    metrics, _ = evaluated
    assert metrics["settings"]["max_steps"] == {"carrot": 60, "spoon": 60}
    assert "mani-skill" in metrics["versions"]


def test_what_cannot_be_run_is_said_before_the_simulator_starts():
    config = BridgeSettings(("carrot",), (0,))
    with pytest.raises(ContractError, match="cameras 2, expected 1"):
        PolicyActor(StillPolicy(), config)
    with pytest.raises(AsyncVLAError, match="n_action_steps is 9, expected 1 to 8"):
        PolicyActor(BridgePolicy(), replace(config, n_action_steps=9))
    actor = PolicyActor(BridgePolicy(), config)
    with pytest.raises(AsyncVLAError, match=r"'carrot' has placements 0 to 23, got \[24\]"):
        evaluate(replace(config, inits=(24,)), actor)
    with pytest.raises(AsyncVLAError, match="at least one task"):
        evaluate(replace(config, tasks=()), actor)
