from __future__ import annotations

import json

import pytest

from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings, summarize

CONFIG = EvalSettings("libero_object", (0,), (0, 1, 2, 3))


def _episode(init: int, refined: float = 0.5, inferences: int = 2, *, success: bool) -> EpisodeResult:
    ticks = (10.0, 20.0) * (inferences // 2)
    return EpisodeResult(0, init, success, 100, ticks, refined, 0.7, 8 * refined, None, 4 * refined)


def test_an_episode_becomes_a_row() -> None:
    result = summarize([_episode(i, success=i != 2) for i in range(4)], CONFIG)
    known = {"task": 0, "init": 2, "success": False, "steps": 100, "inferences": 2, "jerk_inside": 4.0}
    unknown = {"jerk_seam": None, "moved_step": None, "confidences": [], "variances": [], "surprises": []}
    unknown["disagreements"] = []
    assert result["episodes"][2] == {**known, **unknown, "kept": 0.0, "dry_steps": 0, "approached": None}


def test_success_comes_with_its_interval_and_by_task() -> None:
    result = summarize([_episode(i, success=i != 2) for i in range(4)], CONFIG)
    assert result["success_rate"] == 0.75
    assert result["n"] == 4
    assert result["ci95"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert result["per_task"]["0"]["successes"] == 3 and result["per_task"]["0"]["n"] == 4


def test_metrics_are_means_over_inferences() -> None:
    result = summarize([_episode(i, success=i != 2) for i in range(4)], CONFIG)
    assert result["inference_ms"] == {"p50": 15.0, "p95": 20.0}
    assert result["refined_fraction"] == 0.5
    # Of 2 inferences with 0.1 and 6 with 0.5.
    metrics = summarize(
        [_episode(0, 0.1, success=True), _episode(1, 0.5, inferences=6, success=True)], CONFIG
    )
    assert metrics["refined_fraction"] == pytest.approx(0.4)
    assert metrics["refine_ms"] == pytest.approx(1.6)
    assert metrics["temporal_consistency"] == {"jerk_inside_m_s3": 2.4, "jerk_seam_m_s3": None}


def test_a_summary_says_how_it_was_made_and_is_json() -> None:
    result = summarize([_episode(0, success=True)], CONFIG)
    assert {"python", "torch", "mujoco"} <= set(result["versions"])
    assert result["settings"]["max_steps"] == 280
    json.dumps(result)
