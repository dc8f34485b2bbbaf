from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asyncvla_ros.report import report
from asyncvla_ros.report.results import load
from asyncvla_ros.report.success import compare
from asyncvla_ros.report.success_picture import count_success
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError


def write_eval(
    file: Path,
    outcomes: list[bool],
    mode: str = "afm",
    refining: float = 4.25,
    suite: str = "libero_object",
    first_init: int = 0,
    **settings: Any,
) -> None:
    episodes = [
        {"task": i % 2, "init": first_init + i // 2, "success": s, "steps": 90}
        for i, s in enumerate(outcomes)
    ]
    result = {
        "suite": suite,
        "mode": mode,
        "episodes": episodes,
        "success_rate": sum(outcomes) / len(outcomes),
        "n": len(outcomes),
        "inference_ms": {"p50": 40.0, "p95": 80.0},
        "refine_ms": refining,
        "refined_fraction": 0.02,
        "versions": {"torch": "2.11.0"},
        "machine": {"cpus": 2},
        "settings": {"seed": 0, "strategy": vars(Strategy(mode)), **settings},
    }
    file.write_text(json.dumps(result))


def test_evaluations_become_tables_with_intervals_and_paired_differences(tmp_path: Path) -> None:
    write_eval(tmp_path / "afm.json", [True] * 40)
    write_eval(tmp_path / "sfm.json", [False] * 6 + [True] * 34, mode="sfm", refining=0.0)
    write_eval(tmp_path / "blank.json", [False] * 40, blank_images=True)
    written = report(tmp_path, tmp_path / "out" / "two_modes.md")
    text = written[0].read_text()
    assert text.startswith("# Two modes\n\nThe tables are rendered by `asyncvla report` from 3 files.")
    assert "| afm | libero_object | - | afm | - | 40/40 | 100.0% (91.2% to 100.0%) | 40 / 80 | 4.2 |" in text
    assert "| blank | libero_object | - | afm | blank images | 0/40 |" in text
    assert "| sfm | 17/20 | 17/20 |" in text
    (only,) = compare(load(tmp_path)["eval"])
    assert (only.strategy, only.baseline, only.success.pairs) == ("afm", "sfm", 40)
    assert (only.success.gain, only.success.p) == pytest.approx((0.15, 0.03125))
    assert "| - | seed 0 | afm | sfm | libero_object | 40 : 34 of 40 | +15.0%" in text
    assert "torch 2.11.0; cpus 2" in text


def test_strategies_are_compared_with_the_plain_ones_and_their_own_drafts(tmp_path: Path) -> None:
    for name, strategy in (
        ("afm", Strategy()),
        ("random", Strategy(select="random")),
        ("twice", Strategy(rounds=2)),
        ("best", Strategy(best_of=4)),
        ("twice_best", Strategy(rounds=2, best_of=4)),
        ("best_draft", Strategy("sfm", best_of=4)),
    ):
        write_eval(tmp_path / f"{name}.json", [True] * 4, strategy=vars(strategy))
    pairs = {(c.strategy, c.baseline) for c in compare(load(tmp_path)["eval"])}
    refining = ("afm, best_of 4", "afm, rounds 2, best_of 4")
    others = ("afm, select random", "afm, rounds 2", "sfm, best_of 4", *refining)
    assert pairs == {*((other, "afm") for other in others), *((r, "sfm, best_of 4") for r in refining)}


def test_without_a_plain_strategy_the_cheapest_is_the_baseline(tmp_path: Path) -> None:
    for name, strategy in (
        ("five", Strategy("sfm", denoise_steps=5)),
        ("one", Strategy("sfm", denoise_steps=1)),
        ("mean", Strategy("sfm", denoise_steps=1, best_of=4, choose="mean")),
        ("commit", Strategy("sfm", denoise_steps=1, handover="commit")),
    ):
        write_eval(tmp_path / f"{name}.json", [True] * 4, strategy=vars(strategy))
    pairs = [(c.strategy, c.baseline) for c in compare(load(tmp_path)["eval"])]
    one = "sfm, denoise_steps 1"
    assert pairs == [("sfm, denoise_steps 5", one), ("sfm, denoise_steps 1, best_of 4, choose mean", one)]


def test_success_is_drawn_by_control_and_suite(tmp_path: Path) -> None:
    write_eval(tmp_path / "official.json", [True] * 9 + [False])
    write_eval(tmp_path / "goal.json", [True] * 4, suite="libero_goal")
    write_eval(tmp_path / "free.json", [True, False], placement="free", render="decimated")
    write_eval(tmp_path / "sfm.json", [False] * 4, mode="sfm", placement="free", render="decimated")
    write_eval(tmp_path / "late.json", [False] * 4, delay=2, replan=2)
    assert count_success(load(tmp_path)["eval"]) == {
        "free placements, decimated meshes, afm": {"libero_object": (1, 2)},
        "official states": {"libero_goal": (4, 4), "libero_object": (9, 10)},
        "free placements, decimated meshes, sfm": {"libero_object": (0, 4)},
    }
    text, picture, *_ = report(tmp_path, tmp_path / "results.md")
    assert picture.name == "results-success.png" and picture.name in text.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_comparisons_are_pooled_over_suites_and_joined_over_files(tmp_path: Path) -> None:
    for suite, better in (("libero_object", 4), ("libero_goal", 2)):
        for part in range(2):
            write_eval(tmp_path / f"afm_{suite}_{part}.json", [True] * 4, suite=suite, first_init=2 * part)
            outcomes = [i >= better for i in range(4)]
            write_eval(
                tmp_path / f"sfm_{suite}_{part}.json", outcomes, "sfm", suite=suite, first_init=2 * part
            )
    goal, objects, both = compare(load(tmp_path)["eval"])
    assert (goal.suites, goal.success.pairs, goal.success.solved) == (("libero_goal",), 8, (8, 4))
    assert (objects.suites, objects.success.pairs, objects.success.solved) == (("libero_object",), 8, (8, 0))
    assert (both.suites, both.success.pairs, both.success.solved) == (
        ("libero_goal", "libero_object"),
        16,
        (16, 4),
    )
    assert both.success.gain == pytest.approx(0.75)


def test_an_episode_counts_once(tmp_path: Path) -> None:
    write_eval(tmp_path / "afm.json", [True] * 4)
    write_eval(tmp_path / "afm_again.json", [False] * 4, first_init=1)
    with pytest.raises(
        AsyncVLAError, match=r"afm_again has 2 episodes of libero_object \(afm\) that another"
    ):
        report(tmp_path, tmp_path / "results.md")


def test_a_demo_is_no_evaluation(tmp_path: Path) -> None:
    write_eval(tmp_path / "afm.json", [True] * 4)
    demo = {"success_rate": 1.0, "latency_ms": {}, "settings": {"seed": 0}}
    (tmp_path / "demo.json").write_text(json.dumps(demo))
    assert [source.name for source in load(tmp_path)["eval"]] == ["afm"]


def test_the_expert_gets_a_table_by_task(tmp_path: Path) -> None:
    rows = {"2": {"successes": 19, "n": 20}, "10": {"successes": 20, "n": 20}}
    metrics = {"expert_suite": "libero_goal", "per_task": rows, "settings": {"disturbed": True}}
    (tmp_path / "expert.json").write_text(json.dumps(metrics))
    text = report(tmp_path, tmp_path / "results.md")[0].read_text()
    assert "| file | suite | disturbed | 2 | 10 |" in text
    assert "| expert | libero_goal | yes | 19/20 | 20/20 |" in text


def test_comparisons_say_which_policy_played_what(tmp_path: Path) -> None:
    for checkpoint in ("aaaa11", "bbbb22"):
        for seed in (0, 1):
            for mode in ("afm", "sfm"):
                file = tmp_path / f"{checkpoint}_{seed}_{mode}.json"
                write_eval(file, [True] * 4, mode, checkpoint=checkpoint, seed=seed, displace_m=0.03)
    text = report(tmp_path, tmp_path / "results.md")[0].read_text()
    for row in (
        "| aaaa11_0_afm | libero_object | aaaa | afm | displaced 3 cm |",
        "| aaaa | displaced 3 cm, seed 0 | afm | sfm |",
        "| bbbb | displaced 3 cm, seed 1 | afm | sfm |",
    ):
        assert text.count(row) == 1


def test_different_policies_are_not_compared(tmp_path: Path) -> None:
    write_eval(tmp_path / "afm.json", [True] * 10, checkpoint="a")
    write_eval(tmp_path / "sfm.json", [False] * 10, mode="sfm", checkpoint="b")
    assert not list(compare(load(tmp_path)["eval"]))


def _demo_metrics() -> dict[str, Any]:
    """Write the result of an evaluation against demonstrations, of a policy without a rater."""
    accuracy = {
        "mae": 0.125,
        "mae_per_step": [0.1, 0.15],
        "mae_per_dof": {"dx": 0.125, "gripper": 0.5},
        "gripper_accuracy": 0.75,
    }
    refined = {"share": 0.1, "mae_before": 0.2345, "mae_after": 0.2255, "gain_ci95": [-0.001, 0.02]}
    return {
        "action_accuracy": {"sfm": accuracy, "afm": accuracy},
        "refined": refined,
        "calibration": {"label": "absolute", "n": 320, "auroc_worst_quarter": 0.7},
        "frames": 40,
        "versions": {},
        "machine": {},
        "settings": {"strategy": vars(Strategy(rounds=2, best_of=4))},
        "loop_gain": {"n": 40, "by_kept": {"1": {"same": 0.104, "largest": 0.4}}},
        "within_observation": {
            "drafts": 8,
            "concordance_within_observation": {
                "rater": {"same_place": {"value": 0.7, "ci95": [0.6, 0.8]}, "chunk": {"value": None}}
            },
            "selection": {
                "rater": {"error": 0.25, "over_the_mean_ci95": [-0.01, 0.02]},
                "the_mean": {"error": 0.2, "over_the_mean_ci95": [0, 0]},
            },
        },
    }


def _report_of(folder: Path, **metrics: dict[str, Any]) -> tuple[str, list[Path]]:
    """Write the page of these files, and its pictures."""
    for name, some in metrics.items():
        (folder / f"{name}.json").write_text(json.dumps(some))
    page, *pictures = report(folder, folder / "results.md")
    return page.read_text(), pictures


def test_what_a_policy_answers_to_its_own_errors_is_a_row(tmp_path: Path) -> None:
    text, _ = _report_of(tmp_path, demos=_demo_metrics())
    assert "| demos | sfm, best_of 4 | 40 | +0.10 / 0.40 |" in text


def test_the_choice_among_drafts_of_an_observation_is_a_row(tmp_path: Path) -> None:
    text, _ = _report_of(tmp_path, demos=_demo_metrics())
    assert "| demos | rater | 8 | 0.700 (0.600 to 0.800) | - | 0.250 | -0.010 to +0.020 |" in text
    assert "| demos | the mean | 8 | - | - | 0.200 | - |" in text


def test_errors_against_demonstrations_become_a_table_and_a_figure(tmp_path: Path) -> None:
    text, (picture,) = _report_of(tmp_path, demos=_demo_metrics())
    assert "| file | strategy | observations | error | dx | gripper | gripper right |" in text
    assert "| demos | sfm, best_of 4 | 40 | 0.1250 | 0.1250 | 0.5000 | 75.0% |" in text
    row = "| afm, rounds 2, best_of 4 | 40 | 10.0% | 0.2345 | 0.2255 | +0.0090 (-0.0010 to +0.0200) |"
    assert row in text
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.name in text


def test_a_rater_is_one_row_however_many_strategies_it_served(tmp_path: Path) -> None:
    metrics = _demo_metrics()
    text, _ = _report_of(tmp_path, demos=metrics)
    assert "## Confidence" not in text
    metrics["calibration"] |= {"auroc_worst_quarter_variance": 0.6}
    text, _ = _report_of(tmp_path, demos=metrics, demos_rounds_2=metrics)
    assert text.count("| absolute |") == 1
    assert "| demos_rounds_2 | absolute | 320 | 0.700 | 0.600 | - | - | - | - | - |" in text


def test_a_rater_gets_a_reliability_diagram(tmp_path: Path) -> None:
    metrics = {
        "label": "absolute",
        "n": 80,
        "auroc_worst_quarter": 0.81,
        "auroc_worst_quarter_variance": 0.83,
        "ece": 0.021,
        "reliability": [{"confidence": 0.3, "outcome": 0.4, "count": 20}],
        "auroc_gain_over_variance_ci95": [-0.05, 0.01],
    }
    (tmp_path / "rater.json").write_text(json.dumps(metrics))
    text, picture = report(tmp_path, tmp_path / "results.md")
    row = "| absolute | 80 | 0.810 | 0.830 | - | 0.021 | - | - | -0.050 to +0.010 |"
    assert f"| rater {row}" in text.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.name in text.read_text()


def test_a_folder_without_results_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(AsyncVLAError, match="no result, expected JSON files of `asyncvla eval`"):
        report(tmp_path, tmp_path / "results.md")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(AsyncVLAError, match=r"broken\.json is no JSON file"):
        report(tmp_path, tmp_path / "results.md")


def test_where_the_hand_went_first_is_told_of_things_that_stand_elsewhere(tmp_path: Path) -> None:
    write_eval(tmp_path / "usual.json", [True] * 4)
    assert "went first" not in report(tmp_path, tmp_path / "results.md")[0].read_text()
    file = tmp_path / "moved.json"
    write_eval(file, [True, False, False, False], placement="exchanged", random_placements=True)
    result = json.loads(file.read_text())
    for episode, place in zip(result["episodes"], ("target", "usual", "usual", None), strict=True):
        episode["approached"] = place
    file.write_text(json.dumps(result))
    text = report(tmp_path, tmp_path / "results.md")[0].read_text()
    row = "| moved | libero_object | afm | exchanged placements | 1/4 | 2/4 | 0/4 | 1/4 |"
    assert row in text and "| usual | libero_object | afm | official" not in text
