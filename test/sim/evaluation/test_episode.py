from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.common.noise_seed import noise_seed
from asyncvla_ros.policy import Policy
from asyncvla_ros.sim.evaluation.episode import run_episode
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings, summarize
from asyncvla_ros.sim.libero.conventions import LiberoConventions
from asyncvla_ros.sim.libero.tasks import list_tasks
from asyncvla_ros.types import ActionChunk, AsyncVLAError, Observation
from support.checkpoints import full_shape_checkpoint
from support.fake_world import FakeWorld
from support.policies import StillPolicy


class SteppingPolicy(StillPolicy):
    """Moves along x by 0, 0.5, 1, 1.5, ... units; the world executes at most 1."""

    def infer(self, observation: Observation, *args: object, **more: int) -> ActionChunk:
        chunk = super().infer(observation, seed=more["seed"])
        chunk.actions[:, 0] = (len(self.seeds) - 1) / 2
        return chunk


def _run(policy: StillPolicy, config: EvalSettings, task: int, solved_after: int) -> EpisodeResult:
    world = FakeWorld(list_tasks(config.suite)[task], solved_after)
    return run_episode(policy, world, config, 0)  # type: ignore[arg-type]


def test_an_episode_measures_what_was_executed() -> None:
    config = EvalSettings("libero_goal", (0,), (0,))
    episode = _run(SteppingPolicy(), config, 0, solved_after=16)
    assert (episode.success, episode.steps, len(episode.inference_ms)) == (True, 16, 4)
    assert episode.refined == 0.5 and episode.confidence == pytest.approx(0.5)
    assert episode.refine_ms == 3 + 4
    assert episode.jerk_inside == 0
    # Two of three seams bend, by half a unit of 5 cm at 20 Hz; at the last the arm is as fast as it may be.
    assert episode.jerk_seam == pytest.approx(0.025 * 20**3 * np.sqrt(2 / 3))


def test_fewer_actions_of_each_chunk_are_more_inferences() -> None:
    episode = _run(
        StillPolicy(), EvalSettings("libero_goal", (0,), (0,), n_action_steps=2), 0, solved_after=10
    )
    assert (episode.steps, len(episode.inference_ms)) == (10, 5)


def test_a_policy_sees_and_moves_the_world_in_its_conventions() -> None:
    """Each action is one control step, also of a policy whose data say 10 Hz; the still policy says -1."""
    conventions = LiberoConventions(images="mirrored", gripper="open_is_one")
    config = EvalSettings("libero_goal", (0,), (0,), conventions=conventions)
    world = FakeWorld(list_tasks("libero_goal")[0], solved_after=8)
    episode = run_episode(StillPolicy(), world, config, 0)  # type: ignore[arg-type]
    assert [action[-1] for action in world.executed] == [3.0] * 8
    assert world.seen == [conventions] * 2 and episode.steps == 8


class CountingPolicy(StillPolicy):
    """Its actions say of which inference they are, and at which place; remembers the plan it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def infer(self, observation: Observation, *args: Any, **more: int) -> ActionChunk:
        chunk = super().infer(observation, seed=more["seed"])
        self.told.append(args[1])
        chunk.actions[:, 0] = len(self.told) / 10
        chunk.actions[:, 1] = np.arange(self.chunk_size) / 100
        chunk.actions[:, 6] = 1.0
        return chunk


def test_late_answers_continue_the_plan_before_and_the_arm_waits_for_the_first() -> None:
    policy, world = CountingPolicy(), FakeWorld(list_tasks("libero_goal")[0], solved_after=9)
    config = EvalSettings("libero_goal", (0,), (0,), delay=2, replan=3)
    episode = run_episode(policy, world, config, 0)  # type: ignore[arg-type]
    done = [(round(10 * a[0]), round(100 * a[1]), a[6]) for a in world.executed]
    hold, first = [(0, 0, -1.0)] * 2, [(1, place, 1.0) for place in (2, 3, 4)]
    assert done == [*hold, *first, *((2, place, 1.0) for place in (2, 3, 4)), (3, 2, 1.0)]
    assert (episode.steps, len(episode.inference_ms), episode.dry_steps) == (9, 3, 2)
    assert policy.told[0] is None
    assert [previous.delay for previous in policy.told[1:]] == [2, 2]
    np.testing.assert_allclose(policy.told[1].actions[:, 1], np.arange(3, 8) / 100)
    # Of seven actions; the wait for the first one is no seam.
    assert episode.jerk_inside == pytest.approx(0, abs=1e-3) and episode.jerk_seam is not None


def test_a_policy_whose_chunks_are_too_short_for_the_delay_is_refused() -> None:
    config = EvalSettings("libero_goal", (0,), (0,), delay=5, replan=5)
    with pytest.raises(AsyncVLAError, match="delay is 5, expected 0 to 4"):
        _run(StillPolicy(), config, 0, 4)


def test_what_an_answer_says_of_itself_is_kept_for_each_inference() -> None:
    """Of inference n: confidence 0.5, variance n, surprise n / 10, and n of 8 actions kept."""

    class Telling(StillPolicy):
        def infer(self, observation: Observation, *args: Any, **more: int) -> ActionChunk:
            chunk = super().infer(observation, seed=more["seed"])
            n = len(self.seeds)
            variance = np.full(8, n, np.float32)
            apart = None if n == 1 else 0.3
            told = replace(chunk, variance=variance, surprise=n / 10, kept=np.arange(8) < n)
            return replace(told, disagreement=apart)

    episode = _run(Telling(), EvalSettings("libero_goal", (0,), (0,)), 0, solved_after=8)
    assert episode.confidences == (0.5, 0.5) and episode.variances == (1.0, 2.0)
    assert episode.disagreements == (None, 0.3)
    assert episode.surprises == (0.1, 0.2) and episode.kept == pytest.approx(1.5 / 8)
    row = json.loads(json.dumps(summarize([episode], EvalSettings("libero_goal", (0,), (0,)))))["episodes"][0]
    assert (row["surprises"], row["inferences"], row["kept"]) == ([0.1, 0.2], 2, 0.188)
    assert _run(StillPolicy(), EvalSettings("libero_goal", (0,), (0,)), 0, 4).variances == ()


def test_the_wrong_instruction_is_that_of_the_next_task() -> None:
    tasks = list_tasks("libero_goal")
    for task, told in ((0, 1), (9, 0)):
        policy = StillPolicy()
        _run(policy, EvalSettings("libero_goal", (0,), (0,), wrong_instruction=True), task, 4)
        assert policy.instructions == [tasks[told].instruction] != [tasks[task].instruction]


def test_a_blind_policy_is_told_the_right_instruction_and_sees_black() -> None:
    policy = StillPolicy()
    _run(policy, EvalSettings("libero_goal", (0,), (0,), blank_images=True), 3, 4)
    assert policy.instructions == [list_tasks("libero_goal")[3].instruction] and policy.brightest == 0


def test_noise_seeds_differ_and_repeat() -> None:
    seeds = {
        noise_seed(seed, task, init, inference)
        for seed in range(2)
        for task in range(3)
        for init in range(3)
        for inference in range(10)
    }
    assert len(seeds) == 180
    assert noise_seed(1, 2, 3, 4) == noise_seed(1, 2, 3, 4)


def test_a_policy_of_the_full_sizes_shape_acts(tmp_path: Path) -> None:
    policy: Any = Policy.from_checkpoint(full_shape_checkpoint(tmp_path / "full"))
    world = FakeWorld(list_tasks("libero_goal")[0], 6)
    episode = run_episode(policy, world, EvalSettings("libero_goal", (0,), (0,)), 0)  # type: ignore[arg-type]
    assert episode.success and episode.steps == 6 and len(episode.inference_ms) == 2
    assert episode.confidence is not None and 0 < episode.confidence < 1
    assert np.isfinite(world.executed).all() and np.abs(world.executed).max() > 0
