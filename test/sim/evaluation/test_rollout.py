from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from asyncvla_ros.common.shard import Shard
from asyncvla_ros.policy import Policy
from asyncvla_ros.sim.evaluation.episode import run_episode
from asyncvla_ros.sim.evaluation.inference import noise_seed
from asyncvla_ros.sim.evaluation.results import Episode, EvalConfig, summarise
from asyncvla_ros.sim.evaluation.rollout import _work_units, evaluate
from asyncvla_ros.sim.libero.conventions import OWN, LiberoConventions
from asyncvla_ros.sim.libero.tasks import Task, list_tasks
from asyncvla_ros.types import ActionChunk, AsyncVLAError, Observation
from support.checkpoints import full_shape_checkpoint
from support.policies import StillPolicy

LIBERO_ENV = "asyncvla_ros.sim.evaluation.rollout.LiberoEnv"


@dataclass
class FakeWorld:
    """The surface of ``LiberoEnv`` that an episode uses; solved after some control steps."""

    task: Task
    solved_after: int
    steps: int = 0
    executed: list[np.ndarray] = field(default_factory=list)
    seen: list[LiberoConventions] = field(default_factory=list)

    #: Nothing that is carried, so nobody asks where the hand goes.
    scene = SimpleNamespace(goals=(("open", "drawer"),), object_names=tuple)

    @property
    def instruction(self) -> str:
        return self.task.instruction

    @property
    def success(self) -> bool:
        return self.steps >= self.solved_after

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def reset_to_init(self, index: int, **_: object) -> None:
        self.steps = 0
        if index == 3:
            raise RuntimeError("the simulator broke")

    def observe(self, conventions: LiberoConventions = OWN) -> Observation:
        self.seen.append(conventions)
        images = {key: np.full((224, 224, 3), 200, np.uint8) for key in ("agentview", "wrist")}
        return Observation(images, np.zeros(11, np.float32), self.instruction)

    def step(self, action: np.ndarray) -> None:
        self.steps += 1
        self.executed.append(action)


class SteppingPolicy(StillPolicy):
    """Moves along x by 0, 0.5, 1, 1.5, ... units; the world executes at most 1."""

    def infer(self, observation: Observation, *args: object, **more: int) -> ActionChunk:
        chunk = super().infer(observation, seed=more["seed"])
        chunk.actions[:, 0] = (len(self.seeds) - 1) / 2
        return chunk


def _run(policy: StillPolicy, config: EvalConfig, task: int, solved_after: int) -> Episode:
    world = FakeWorld(list_tasks(config.suite)[task], solved_after)
    return run_episode(policy, world, config, 0)  # type: ignore[arg-type]


def test_an_episode_measures_what_was_executed() -> None:
    config = EvalConfig("libero_goal", (0,), (0,))
    episode = _run(SteppingPolicy(), config, 0, solved_after=16)
    assert (episode.success, episode.steps, len(episode.tick_ms)) == (True, 16, 4)
    assert episode.refined == 0.5 and episode.confidence == pytest.approx(0.5)
    assert episode.judging_ms == 3 + 4
    assert episode.jerk_inside == 0
    # Two of three seams bend, by half a unit of 5 cm at 20 Hz; at the last the arm is as fast as it may be.
    assert episode.jerk_seam == pytest.approx(0.025 * 20**3 * np.sqrt(2 / 3))


def test_fewer_actions_of_each_chunk_are_more_decisions() -> None:
    episode = _run(StillPolicy(), EvalConfig("libero_goal", (0,), (0,), execute_steps=2), 0, solved_after=10)
    assert (episode.steps, len(episode.tick_ms)) == (10, 5)


def test_a_policy_sees_and_moves_the_world_in_its_conventions() -> None:
    """Each action is one control step, also of a policy whose data say 10 Hz; the still policy says -1."""
    conventions = LiberoConventions(images="mirrored", gripper="open_is_one")
    config = EvalConfig("libero_goal", (0,), (0,), conventions=conventions)
    world = FakeWorld(list_tasks("libero_goal")[0], solved_after=8)
    episode = run_episode(StillPolicy(), world, config, 0)  # type: ignore[arg-type]
    assert [action[-1] for action in world.executed] == [3.0] * 8
    assert world.seen == [conventions] * 2 and episode.steps == 8


@pytest.mark.parametrize(
    ("placement", "displace_m", "kind"),
    [("official", 0.02, "widened"), ("official", 0.0, "official"), ("exchanged", 0.0, "exchanged")],
)
def test_choices_are_made_on_random_placements_that_repeat(
    monkeypatch: pytest.MonkeyPatch, placement: str, displace_m: float, kind: str
) -> None:
    resets: list[tuple[int, float]] = []

    class Placed(FakeWorld):
        def reset(self, seed: int, placement: str, widen_m: float) -> None:
            assert placement == kind
            resets.append((seed, widen_m))

    monkeypatch.setattr(LIBERO_ENV, lambda suite, task, _: Placed(list_tasks(suite)[task], 4))
    config = EvalConfig(
        "libero_goal",
        (0,),
        (0, 99),
        workers=1,
        random_placements=True,
        placement=placement,
        displace_m=displace_m,
    )
    for _ in range(2):
        result = evaluate(lambda: StillPolicy(), config)  # type: ignore[arg-type,return-value]
        assert [(e["init"], e["success"]) for e in result["episodes"]] == [(0, True), (99, True)]
    assert resets[:2] == resets[2:] and resets[0][0] != resets[1][0] and resets[0][1] == displace_m


class CountingPolicy(StillPolicy):
    """Its actions say of which decision they are, and at which place; remembers the plan it was told."""

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
    config = EvalConfig("libero_goal", (0,), (0,), delay=2, replan=3)
    episode = run_episode(policy, world, config, 0)  # type: ignore[arg-type]
    done = [(round(10 * a[0]), round(100 * a[1]), a[6]) for a in world.executed]
    hold, first = [(0, 0, -1.0)] * 2, [(1, place, 1.0) for place in (2, 3, 4)]
    assert done == [*hold, *first, *((2, place, 1.0) for place in (2, 3, 4)), (3, 2, 1.0)]
    assert (episode.steps, len(episode.tick_ms), episode.dry_steps) == (9, 3, 2)
    assert policy.told[0] is None
    assert [previous.delay for previous in policy.told[1:]] == [2, 2]
    np.testing.assert_allclose(policy.told[1].actions[:, 1], np.arange(3, 8) / 100)
    # Of seven actions; the wait for the first one is no seam.
    assert episode.jerk_inside == pytest.approx(0, abs=1e-3) and episode.jerk_seam is not None


def test_a_policy_whose_chunks_are_too_short_for_the_delay_is_refused() -> None:
    config = EvalConfig("libero_goal", (0,), (0,), delay=5, replan=5)
    with pytest.raises(AsyncVLAError, match="delay is 5, expected 0 to 4"):
        _run(StillPolicy(), config, 0, 4)


def test_what_an_answer_says_of_itself_is_kept_for_each_decision() -> None:
    """Of decision n: confidence 0.5, variance n, surprise n / 10, and n of 8 actions kept."""

    class Telling(StillPolicy):
        def infer(self, observation: Observation, *args: Any, **more: int) -> ActionChunk:
            chunk = super().infer(observation, seed=more["seed"])
            n = len(self.seeds)
            variance = np.full(8, n, np.float32)
            apart = None if n == 1 else 0.3
            told = replace(chunk, variance=variance, surprise=n / 10, kept=np.arange(8) < n)
            return replace(told, disagreement=apart)

    episode = _run(Telling(), EvalConfig("libero_goal", (0,), (0,)), 0, solved_after=8)
    assert episode.confidences == (0.5, 0.5) and episode.variances == (1.0, 2.0)
    assert episode.disagreements == (None, 0.3)
    assert episode.surprises == (0.1, 0.2) and episode.kept == pytest.approx(1.5 / 8)
    row = json.loads(json.dumps(summarise([episode], EvalConfig("libero_goal", (0,), (0,)))))["episodes"][0]
    assert (row["surprises"], row["decisions"], row["kept"]) == ([0.1, 0.2], 2, 0.188)
    assert _run(StillPolicy(), EvalConfig("libero_goal", (0,), (0,)), 0, 4).variances == ()


def test_the_wrong_instruction_is_that_of_the_next_task() -> None:
    tasks = list_tasks("libero_goal")
    for task, told in ((0, 1), (9, 0)):
        policy = StillPolicy()
        _run(policy, EvalConfig("libero_goal", (0,), (0,), wrong_instruction=True), task, 4)
        assert policy.instructions == [tasks[told].instruction] != [tasks[task].instruction]
    policy = StillPolicy()
    _run(policy, EvalConfig("libero_goal", (0,), (0,), blank_images=True), 3, 4)
    assert policy.instructions == [tasks[3].instruction] and policy.brightest == 0


def _plain_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIBERO_ENV, lambda suite, task, _: FakeWorld(list_tasks(suite)[task], 4))


def test_finished_episodes_are_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _plain_world(monkeypatch)
    config, run = EvalConfig("libero_goal", (0, 1), (0, 1), workers=1), list[Episode]()
    done = (_episode(0, 1, success=False), _episode(1, 0, success=True))
    result = evaluate(StillPolicy, config, run.append, done)  # type: ignore[arg-type]
    assert [(e.task, e.init) for e in run] == [(0, 0), (1, 1)]
    assert [(e["task"], e["init"], e["success"]) for e in result["episodes"]] == [
        *((0, 0, True), (0, 1, False)),
        *((1, 0, True), (1, 1, True)),
    ]
    assert evaluate(StillPolicy, config, run.append, (*done, *run))["n"] == 4  # type: ignore[arg-type]
    assert len(run) == 2


def test_shards_run_the_episodes_of_the_whole_with_the_same_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    _plain_world(monkeypatch)

    def run(config: EvalConfig) -> tuple[list[dict[str, Any]], list[int | None]]:
        policy = StillPolicy()
        return evaluate(lambda: policy, config)["episodes"], policy.seeds  # type: ignore[arg-type,return-value]

    config = EvalConfig("libero_goal", (0, 1, 2), (0, 1, 4), workers=1)
    whole = run(config)
    shards = [run(replace(config, shard=Shard(index, 2))) for index in (1, 2)]
    assert [len(episodes) for episodes, _ in shards] == [4, 5]
    assert tuple(first + second for first, second in zip(*shards, strict=True)) == whole


def test_a_continued_evaluation_has_work_for_all_workers() -> None:
    config = EvalConfig("libero_goal", (0, 1, 2), (0, 1, 2, 3), workers=2)
    assert _work_units(config, set()) == [(task, (0, 1, 2, 3)) for task in range(3)]
    done = {(task, init) for task in (0, 1) for init in range(4)}
    assert _work_units(config, done) == [(2, (0, 1)), (2, (2, 3))]
    assert _work_units(config, done | {(2, init) for init in range(4)}) == []


def test_what_others_have_finished_survives_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads stand in for the processes, each of which has a world that breaks at initial state 3."""
    _plain_world(monkeypatch)

    @contextlib.contextmanager
    def threads(workers: int, start: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[Executor]:
        start(*arguments)
        with ThreadPoolExecutor(workers) as pool:
            yield pool

    monkeypatch.setattr("asyncvla_ros.sim.evaluation.rollout.worker_pool", threads)
    monkeypatch.setattr("asyncvla_ros.sim.evaluation.rollout._worker", {})
    config, run = EvalConfig("libero_goal", (0,), (0, 1, 2, 3, 4, 5), workers=2), list[Episode]()
    with pytest.raises(RuntimeError, match="the simulator broke"):
        evaluate(StillPolicy, config, run.append)  # type: ignore[arg-type]
    assert sorted(e.init for e in run) == [0, 1, 2]


def _episode(task: int, init: int, success: bool, refined: float = 0.5, decisions: int = 2) -> Episode:
    ticks = (10.0, 20.0) * (decisions // 2)
    return Episode(task, init, success, 100, ticks, refined, 0.7, 8 * refined, None, 4 * refined)


def test_summary_has_the_agreed_form() -> None:
    config = EvalConfig("libero_object", (0,), (0, 1, 2, 3))
    result = summarise([_episode(0, i, success=i != 2) for i in range(4)], config)
    known = {"task": 0, "init": 2, "success": False, "steps": 100, "decisions": 2, "jerk_inside": 4.0}
    unknown = {"jerk_seam": None, "moved_step": None, "confidences": [], "variances": [], "surprises": []}
    unknown["disagreements"] = []
    assert result["episodes"][2] == {**known, **unknown, "kept": 0.0, "dry_steps": 0, "approached": None}
    assert result["success_rate"] == 0.75
    assert result["n"] == 4
    assert result["ci95"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert result["tick_ms"] == {"p50": 15.0, "p95": 20.0}
    assert result["refined_fraction"] == 0.5
    # Of 2 decisions with 0.1 and 6 with 0.5.
    figures = summarise([_episode(0, 0, True, 0.1), _episode(0, 1, True, 0.5, decisions=6)], config)
    assert figures["refined_fraction"] == pytest.approx(0.4)
    assert figures["judging_ms"] == pytest.approx(1.6)
    assert figures["temporal_consistency"] == {"jerk_inside_m_s3": 2.4, "jerk_seam_m_s3": None}
    assert {"python", "torch", "mujoco"} <= set(result["versions"])
    assert result["settings"]["max_steps"] == 280
    assert result["per_task"]["0"]["successes"] == 3 and result["per_task"]["0"]["n"] == 4
    json.dumps(result)


def test_noise_seeds_differ_and_repeat() -> None:
    seeds = {
        noise_seed(seed, task, init, decision)
        for seed in range(2)
        for task in range(3)
        for init in range(3)
        for decision in range(10)
    }
    assert len(seeds) == 180
    assert noise_seed(1, 2, 3, 4) == noise_seed(1, 2, 3, 4)


def test_a_policy_of_the_full_sizes_shape_acts(tmp_path: Path) -> None:
    policy: Any = Policy.from_checkpoint(full_shape_checkpoint(tmp_path / "full"))
    world = FakeWorld(list_tasks("libero_goal")[0], 6)
    episode = run_episode(policy, world, EvalConfig("libero_goal", (0,), (0,)), 0)  # type: ignore[arg-type]
    assert episode.success and episode.steps == 6 and len(episode.tick_ms) == 2
    assert episode.confidence is not None and 0 < episode.confidence < 1
    assert np.isfinite(world.executed).all() and np.abs(world.executed).max() > 0
