"""The whole pipeline once, on the command line: demonstrations, policy, rater, evaluation.

Six episodes and a few steps teach nothing; what counts is that each stage reads what the one before wrote.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.libero]

SUITE = "libero_object"
SEED = "7"


@pytest.fixture
def asyncvla(start_process):
    """Run ``asyncvla`` as a user would, and end all its worker processes whatever happens."""

    def run(*arguments: str | Path) -> None:
        # One thread: several would spin at their barriers for as long as anything else runs on this machine.
        one_thread = {"OMP_NUM_THREADS": "1"}
        process = start_process("-m", "asyncvla_ros.cli", *map(str, arguments), env=one_thread)
        code = process.process.wait()
        assert code == 0, f"asyncvla {arguments[0]} ended with exit code {code}"

    return run


# Some minutes on two idle cores, most of it rendering; the rest is patience with a busy machine.
@pytest.mark.timeout(1500)
def test_demonstrations_become_a_rated_policy_that_can_be_evaluated(asyncvla, tmp_path):
    data, run, rated = tmp_path / "data", tmp_path / "run", tmp_path / "rated"
    report = tmp_path / "eval.json"

    expert = tmp_path / "expert.json"
    asyncvla("eval", "expert", "--suite", SUITE, "--tasks", "0", "--episodes", "2", "--json", expert)
    assert json.loads(expert.read_text())["per_task"]["0"]["successes"] == 2
    asyncvla(
        "collect", "--suite", SUITE, "--tasks", "0", "--episodes-per-task", "6", "--out", data,
        "--seed", SEED, "--workers", "1",
    )  # fmt: skip
    assert list(data.rglob("meta/info.json")), "collect wrote no LeRobot dataset"

    given = ("--data", data, "--cache", tmp_path / "frames", "--seed", SEED)
    small = (*given, "--steps", "4", "--batch", "4", "--log-every", "1", "--processes", "2")
    # Three are held out from the policy; two train the rater, and the third measures it.
    asyncvla("train", "--out", run, *small, "--holdout", "0.5")
    assert (run / "log.jsonl").read_text().strip(), "train logged no loss"
    asyncvla("train-rater", "--checkpoint", run, "--out", rated, *small)

    asyncvla(
        "eval", "libero", "--checkpoint", rated, "--suite", SUITE, "--tasks", "0", "--inits", "0-1",
        "--workers", "2", "--mode", "afm", "--seed", SEED, "--json", report,
    )  # fmt: skip
    result = json.loads(report.read_text())
    assert result["n"] == len(result["episodes"]) == 2
    assert {"task", "init", "success", "steps"} <= set(result["episodes"][0])
    assert result["episodes"][0]["steps"] > 0
    assert 0.0 <= result["refined_fraction"] <= 1.0
    assert 0 < result["inference_ms"]["p50"] <= result["inference_ms"]["p95"]

    demos = tmp_path / "demos.json"
    asyncvla("eval", "demos", "--checkpoint", rated, *given, "--frames", "5", "--json", demos)
    compared = json.loads(demos.read_text())
    accuracy = compared["action_accuracy"]
    assert compared["episodes"] == 1
    assert set(accuracy) == {"sfm", "afm"} and len(accuracy["afm"]["mae_per_step"]) == 8
    asyncvla("report", tmp_path, "--out", tmp_path / "results.md")
    assert "Actions beside the demonstrated ones" in (tmp_path / "results.md").read_text()
