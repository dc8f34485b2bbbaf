from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from asyncvla_ros.cli.main import app
from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.observe.episode_monitor import load_limits
from asyncvla_ros.report.monitor import _task_only, monitor_metrics, watched_episodes
from asyncvla_ros.types import AsyncVLAError
from support.checkpoints import tiny_checkpoint


def row(task: int, init: int, rng: np.random.Generator, tells: float, *, success: bool) -> dict[str, Any]:
    """Successes need 12 to 20 inferences, failures 70, and surprise by ``tells`` more from the tenth on."""
    count = int(rng.integers(12, 21)) if success else 70
    surprise = rng.normal(0.5, 0.1, count)
    if not success:
        surprise[9:] += tells
    return {
        "task": task, "init": init, "success": success, "steps": 4 * count - (2 if success else 0),
        "inferences": count, "confidences": rng.uniform(0.4, 0.9, count).tolist(), "variances": [],
        "surprises": surprise.tolist(), "disagreements": [None, *rng.exponential(0.1, count - 1).tolist()],
    }  # fmt: skip


def evaluation(file: Path, tells: float, checkpoint: str = "abc", failures: int = 20) -> Path:
    rng = np.random.default_rng(3)
    rows = [row(i % 3, i, rng, tells, success=i >= failures) for i in range(200)]
    file.write_text(json.dumps({"suite": "s", "episodes": rows, "settings": {"checkpoint": checkpoint}}))
    return file


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory):
    """Metrics and limits of episodes whose failures look foreign."""
    file = evaluation(tmp_path_factory.mktemp("telling") / "a.json", tells=1.0)
    return monitor_metrics(watched_episodes([file])[0], window=4, alpha=0.05)


def test_episodes_are_those_of_one_policy(tmp_path: Path):
    episodes, policy = watched_episodes([evaluation(tmp_path / "a.json", tells=1.0)])
    assert policy == "abc" and len(episodes) == 200 and episodes[0].replan == 4


def test_limits_are_made_of_other_episodes_than_metrics(telling):
    metrics, limits = telling
    assert metrics["monitored"] == {"episodes": 110, "failures": 20, "calibrating": 90}
    assert set(limits.signals) == {"surprise", "disagreement", "doubt"} and limits.episodes == 90
    json.dumps(metrics)


def test_a_score_tells_foreign_failures_apart_within_a_task(telling):
    metrics, _ = telling
    assert 12 <= metrics["early"] <= 15
    for key in ("auroc_within_task", "auroc_early_within_task"):
        assert metrics[key]["surprise"] == 1 and metrics[key]["score"] > 0.95
        assert metrics[key]["ci95"][0] <= metrics[key]["score"] <= metrics[key]["ci95"][1]


def test_time_alone_is_no_signal_early_on(telling):
    metrics, _ = telling
    # Time alone is perfect in the end and knows nothing early on; nor does the task.
    assert metrics["auroc_within_task"]["elapsed"] == 1
    assert metrics["auroc_early_within_task"]["elapsed"] < 0.65
    assert metrics["auroc_early_within_task"]["doubt"] == pytest.approx(0.5, abs=0.2)


def test_tasks_that_are_equally_hard_tell_nothing_and_others_do():
    rng, tasks = np.random.default_rng(0), np.repeat([f"task {i}" for i in range(10)], 10)
    equal = [_task_only(rng.random(100) < 0.2, tasks) for _ in range(200)]
    assert np.mean(equal) == pytest.approx(0.5, abs=0.02)
    # Half of the tasks fail now and then, the others never.
    uneven = [_task_only(rng.random(100) < np.repeat([0.5, 0.0], 50), tasks) for _ in range(200)]
    assert np.mean(uneven) == pytest.approx(50 / 75 + 0.5 * 25 / 75, abs=0.03)


def test_an_inference_lasts_as_long_as_the_evaluation_says(tmp_path: Path):
    file = evaluation(tmp_path / "a.json", tells=1.0)
    values = json.loads(file.read_text())
    for settings, replan in (({"delay": 2, "replan": 6}, 6), ({"n_action_steps": 8}, 8), ({"delay": 0}, 4)):
        values["settings"] = {"checkpoint": "abc", **settings}
        file.write_text(json.dumps(values))
        assert watched_episodes([file])[0][0].replan == replan


def test_failures_that_look_foreign_are_seen_soon_after_they_do(telling):
    metrics, _ = telling
    assert metrics["true_alarms"]["share"] == 1 and metrics["false_alarms"]["share"] <= 0.15
    # Foreign from inference 9 on, of 70; the running mean of four exceeds the limit a few inferences later.
    assert 4 * (70 - 13) <= metrics["lead_steps"]["p50"] <= 4 * (70 - 9)
    assert metrics["raised_by"]["surprise"] >= 20


def test_failures_that_look_like_successes_are_not_seen_early(tmp_path: Path):
    episodes, _ = watched_episodes([evaluation(tmp_path / "a.json", tells=0.0)])
    metrics, _ = monitor_metrics(episodes, window=4, alpha=0.05)
    assert 0.3 < metrics["auroc_early_within_task"]["score"] < 0.75
    # Over whole episodes even noise tells them apart, for they last longer: that is why both are given.
    assert metrics["auroc_within_task"]["score"] > metrics["auroc_early_within_task"]["score"]
    assert metrics["true_alarms"]["early_share"] < 0.35


def test_what_cannot_be_measured_is_said(tmp_path: Path):
    file = evaluation(tmp_path / "a.json", tells=1.0)
    other = evaluation(tmp_path / "b.json", tells=1.0, checkpoint="xyz")
    with pytest.raises(AsyncVLAError, match=r"different policies, \['abc', 'xyz'\]"):
        watched_episodes([file, other])
    episodes, _ = watched_episodes([file])
    with pytest.raises(
        AsyncVLAError, match=r"4 successes at even initial states .* at least 19 for an alpha"
    ):
        monitor_metrics(episodes[:28], 4, 0.05)
    with pytest.raises(AsyncVLAError, match="0 failures and 90 successes are there to measure"):
        monitor_metrics(episodes[20:], 4, 0.05)
    (tmp_path / "c.json").write_text('{"suite": "s", "episodes": [{"task": 0}], "settings": {}}')
    with pytest.raises(AsyncVLAError, match=r"c.json holds no evaluation with inferences"):
        watched_episodes([tmp_path / "c.json"])


def test_the_command_writes_the_limit_into_the_checkpoint_that_was_measured(tmp_path: Path):
    checkpoint = tiny_checkpoint(tmp_path / "tiny")
    file = evaluation(tmp_path / "a.json", 1.0, fingerprint(checkpoint))
    arguments = ["eval", "monitor", str(file), "--json", str(tmp_path / "out.json"), "--signal", "surprise"]
    result = CliRunner().invoke(app, [*arguments, "--write", str(checkpoint)], catch_exceptions=False)
    assert result.exit_code == 0
    limits = load_limits(checkpoint)
    assert limits is not None and set(limits.signals) == {"surprise"} and limits.source == "evaluation"
    assert json.loads((tmp_path / "out.json").read_text())["limits"]["limit"] == limits.limit
    stranger = evaluation(tmp_path / "b.json", 1.0, "stranger")
    with pytest.raises(AsyncVLAError, match="but the episodes are of stranger"):
        CliRunner().invoke(
            app, ["eval", "monitor", str(stranger), "--write", str(checkpoint)], catch_exceptions=False
        )
    with pytest.raises(AsyncVLAError, match="--signal is mood, choose of surprise"):
        CliRunner().invoke(app, ["eval", "monitor", str(file), "--signal", "mood"], catch_exceptions=False)
