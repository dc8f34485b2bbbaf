from __future__ import annotations

import json

import pytest

from asyncvla_ros.sim.evaluate import decision_seed
from asyncvla_ros.sim.results import Episode, EvalConfig, summarise


def _episode(task: int, init: int, success: bool, refined: float = 0.5) -> Episode:
    return Episode(task, init, success, 100, tick_ms=(10.0, 20.0), refined=refined, confidence=0.7)


def test_summary_has_the_agreed_form() -> None:
    config = EvalConfig("libero_object", (0,), (0, 1, 2, 3))
    result = summarise([_episode(0, i, success=i != 2) for i in range(4)], config)
    assert result["episodes"][2] == {"task": 0, "init": 2, "success": False, "steps": 100}
    assert result["success_rate"] == 0.75
    assert result["n"] == 4
    assert result["ci95"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert result["tick_ms"] == {"p50": 15.0, "p95": 20.0}
    assert result["refined_fraction"] == 0.5
    assert {"python", "torch", "mujoco"} <= set(result["versions"])
    assert result["settings"]["max_steps"] == 280
    json.dumps(result)


def test_decision_seeds_differ_and_repeat() -> None:
    seeds = {
        decision_seed(seed, task, init, decision)
        for seed in range(2)
        for task in range(3)
        for init in range(3)
        for decision in range(10)
    }
    assert len(seeds) == 180
    assert decision_seed(1, 2, 3, 4) == decision_seed(1, 2, 3, 4)
