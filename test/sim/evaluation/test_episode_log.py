from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from asyncvla_ros.common.shard import Shard
from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings, summarize
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError
from support.episode_results import FIRST

CONFIG = EvalSettings("libero_object", (0, 1), (0, 1), checkpoint="4f2a")


def test_a_rerun_knows_what_is_finished(tmp_path: Path) -> None:
    EpisodeLog(tmp_path / "eval.json", CONFIG, EpisodeResult).append(FIRST)
    with (tmp_path / "eval.json.partial").open("a") as out:
        out.write('{"task": 1, "in')  # as a kill leaves it
    more = replace(CONFIG, inits=(0, 1, 2), workers=8)
    log = EpisodeLog(tmp_path / "eval.json", more, EpisodeResult)
    assert log.done(more) == (FIRST,)
    assert log.done(replace(CONFIG, tasks=(1,))) == ()
    second = replace(FIRST, init=2)
    log.append(second)
    assert EpisodeLog(tmp_path / "eval.json", more, EpisodeResult).done(more) == (FIRST, second)
    log.close(CONFIG)
    again = EpisodeLog(tmp_path / "eval.json", more, EpisodeResult)
    assert again.done(more) == (FIRST, second), "more than was asked for"
    log.close(more)
    assert EpisodeLog(tmp_path / "eval.json", more, EpisodeResult).done(more) == ()


def test_a_log_that_a_kill_left_empty_starts_again(tmp_path: Path) -> None:
    for left in ("", '{"suite": "libe'):
        (tmp_path / "eval.json.partial").write_text(left)
        EpisodeLog(tmp_path / "eval.json", CONFIG, EpisodeResult).append(FIRST)
        assert EpisodeLog(tmp_path / "eval.json", CONFIG, EpisodeResult).done(CONFIG) == (FIRST,)


def test_an_evaluation_that_failed_at_once_is_in_nobodys_way(tmp_path: Path) -> None:
    EpisodeLog(tmp_path / "eval.json", replace(CONFIG, render="ful"), EpisodeResult)
    assert EpisodeLog(tmp_path / "eval.json", CONFIG, EpisodeResult).done(CONFIG) == ()


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (replace(CONFIG, seed=1), "seed: 0 there, 1 here"),
        (replace(CONFIG, strategy=Strategy("sfm")), "'sfm'"),
        (replace(CONFIG, delay=2, replan=2), "delay: 0 there, 2 here, replan"),
        (replace(CONFIG, world="kicks"), "world: 'still' there, 'kicks' here"),
        (replace(CONFIG, wrong_instruction=True), "wrong_instruction: False there, True here"),
        (replace(CONFIG, shard=Shard(2, 2)), "shard: .*'count': 2"),
        (replace(CONFIG, checkpoint="77b0"), "checkpoint: '4f2a' there, '77b0' here"),
    ],
)
def test_another_evaluation_is_refused_with_the_difference(
    tmp_path: Path, changed: EvalSettings, difference: str
) -> None:
    EpisodeLog(tmp_path / "eval.json", CONFIG, EpisodeResult).append(FIRST)
    with pytest.raises(AsyncVLAError, match=difference):
        EpisodeLog(tmp_path / "eval.json", changed, EpisodeResult)
    result = tmp_path / "finished.json"
    result.write_text(json.dumps(summarize([FIRST], CONFIG)))
    with pytest.raises(AsyncVLAError, match=rf"finished.json holds another evaluation .*{difference}"):
        EpisodeLog(result, changed, EpisodeResult)


def test_a_result_is_replaced_by_its_repetition_only(tmp_path: Path) -> None:
    result = tmp_path / "eval.json"
    result.write_text(json.dumps(summarize([FIRST], CONFIG)))
    assert EpisodeLog(result, replace(CONFIG, workers=8), EpisodeResult).done(CONFIG) == ()
    with pytest.raises(AsyncVLAError, match=r"inits: \[0, 1\] there, \[2\] here"):
        EpisodeLog(result, replace(CONFIG, inits=(2,)), EpisodeResult)
    older = json.loads(result.read_text())
    for unknown in ("device", "shard", "conventions", "delay", "replan", "world"):
        del older["settings"][unknown]
    for unknown in ("choose", "handover", "jacobian", "guidance"):
        del older["settings"]["strategy"][unknown]
    result.write_text(json.dumps(older))
    EpisodeLog(result, CONFIG, EpisodeResult)
    with pytest.raises(AsyncVLAError, match="device: 'cpu' there, 'cuda' here"):
        EpisodeLog(result, replace(CONFIG, device="cuda"), EpisodeResult)
    result.write_text("[]")
    with pytest.raises(AsyncVLAError, match="there already and no evaluation"):
        EpisodeLog(result, CONFIG, EpisodeResult)
