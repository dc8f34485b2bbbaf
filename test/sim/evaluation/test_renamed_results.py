"""Files of evaluations with retired keys are continued, reported and merged as those with present keys."""

from __future__ import annotations

import json
from pathlib import Path

from asyncvla_ros.report.results import load
from asyncvla_ros.report.success import success_table
from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings, summarize
from support.episode_results import FIRST

CONFIG = EvalSettings("libero_object", (0,), (0, 1), checkpoint="4f2a", n_action_steps=2)
RETIRED = {
    '"inference_ms"': '"tick_ms"',
    '"refine_ms"': '"judging_ms"',
    '"inferences"': '"decisions"',
    '"n_action_steps"': '"execute_steps"',
}


def _as_formerly(text: str) -> str:
    for present, retired in RETIRED.items():
        assert present in text or present == '"inferences"'
        text = text.replace(present, retired)
    return text


def test_an_evaluation_that_was_interrupted_before_the_present_names_continues(tmp_path: Path) -> None:
    EpisodeLog(tmp_path / "eval.json", CONFIG, EpisodeResult).append(FIRST)
    partial = tmp_path / "eval.json.partial"
    partial.write_text(_as_formerly(partial.read_text()))
    assert EpisodeLog(tmp_path / "eval.json", CONFIG, EpisodeResult).done(CONFIG) == (FIRST,)


def test_an_older_result_may_be_repeated_and_reports_the_same(tmp_path: Path) -> None:
    tables = []
    for kind in ("older", "newer"):
        file = tmp_path / kind / "eval.json"
        file.parent.mkdir()
        text = json.dumps(summarize([FIRST], CONFIG))
        file.write_text(_as_formerly(text) if kind == "older" else text)
        EpisodeLog(file, CONFIG, EpisodeResult)
        tables.append(success_table(load(file.parent)["eval"]))
    assert tables[0] == tables[1] and "n_action_steps 2" in tables[0] and "| 3.5 |" in tables[0]
