from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from asyncvla_ros.common.shard import Shard
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings
from asyncvla_ros.sim.evaluation.rollout import _work_units, evaluate
from asyncvla_ros.sim.libero.tasks import list_tasks
from support.fake_world import FakeWorld
from support.policies import StillPolicy

LIBERO_ENV = "asyncvla_ros.sim.evaluation.rollout.LiberoEnv"


@pytest.mark.parametrize(
    ("placement", "displace_m", "kind"),
    [("official", 0.02, "widened"), ("official", 0.0, "official"), ("exchanged", 0.0, "exchanged")],
)
def test_choices_are_made_on_random_placements_that_repeat(
    monkeypatch: pytest.MonkeyPatch, placement: str, displace_m: float, kind: str
) -> None:
    resets: list[tuple[int, float]] = []

    class Placed(FakeWorld):
        def reset(self, seed: int, placement: str, displace_m: float) -> None:
            assert placement == kind
            resets.append((seed, displace_m))

    monkeypatch.setattr(LIBERO_ENV, lambda suite, task, _: Placed(list_tasks(suite)[task], 4))
    config = EvalSettings(
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


def _plain_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIBERO_ENV, lambda suite, task, _: FakeWorld(list_tasks(suite)[task], 4))


def _episode(task: int, init: int, *, success: bool) -> EpisodeResult:
    return EpisodeResult(task, init, success, 100, (10.0, 20.0), 0.5, 0.7, 4.0, None, 2.0)


def test_finished_episodes_are_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _plain_world(monkeypatch)
    config, run = EvalSettings("libero_goal", (0, 1), (0, 1), workers=1), list[EpisodeResult]()
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

    def run(config: EvalSettings) -> tuple[list[dict[str, Any]], list[int | None]]:
        policy = StillPolicy()
        return evaluate(lambda: policy, config)["episodes"], policy.seeds  # type: ignore[arg-type,return-value]

    config = EvalSettings("libero_goal", (0, 1, 2), (0, 1, 4), workers=1)
    whole = run(config)
    shards = [run(replace(config, shard=Shard(index, 2))) for index in (1, 2)]
    assert [len(episodes) for episodes, _ in shards] == [4, 5]
    assert tuple(first + second for first, second in zip(*shards, strict=True)) == whole


def test_a_continued_evaluation_has_work_for_all_workers() -> None:
    config = EvalSettings("libero_goal", (0, 1, 2), (0, 1, 2, 3), workers=2)
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
    config, run = EvalSettings("libero_goal", (0,), (0, 1, 2, 3, 4, 5), workers=2), list[EpisodeResult]()
    with pytest.raises(RuntimeError, match="the simulator broke"):
        evaluate(StillPolicy, config, run.append)  # type: ignore[arg-type]
    assert sorted(e.init for e in run) == [0, 1, 2]
