from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asyncvla_ros.report import report
from asyncvla_ros.report.delay_curves import curves
from asyncvla_ros.report.delays import Pairing, pairings, runs_of
from asyncvla_ros.report.results import load
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError


def write(file: Path, outcomes: list[bool], suite: str = "libero_object", **settings: Any) -> None:
    """Make an evaluation whose episodes have 100 steps and seams of 200, or of 50 with a handover."""
    strategy = settings.pop("strategy", Strategy())
    seam = 200.0 if strategy.handover in (None, "switch") else 50.0
    rows = [
        {
            **{"task": 0, "init": i, "success": won, "steps": 100, "inferences": 25, "dry_steps": 2},
            **{"jerk_inside": 10.0, "jerk_seam": seam * (1 + i / 10), "moved_step": None if i else 12},
        }
        for i, won in enumerate(outcomes)
    ]
    result = {
        **{"suite": suite, "mode": "afm", "episodes": rows, "n": len(rows), "success_rate": 0.5},
        **{"inference_ms": {"p50": 40.0, "p95": 80.0}, "refined_fraction": 0.0},
        "settings": {"seed": 0, "checkpoint": "aaaa11", "strategy": vars(strategy.complete({})), **settings},
    }
    file.write_text(json.dumps(result))


def late(delay: int = 2, replan: int = 2, world: str = "jump") -> dict[str, Any]:
    return {"delay": delay, "replan": replan, "world": world}


def found(folder: Path) -> list[Pairing]:
    return list(pairings(runs_of(load(folder)["eval"])))


def test_every_handover_is_compared_with_its_switch_and_with_itself_in_lockstep(tmp_path: Path) -> None:
    commit = Strategy(handover="commit")
    write(tmp_path / "switch.json", [True] * 6 + [False] * 4, **late())
    write(tmp_path / "commit.json", [True] * 10, strategy=commit, **late())
    write(tmp_path / "lockstep.json", [True] * 9 + [False], strategy=commit, world="jump", n_action_steps=4)
    write(tmp_path / "still.json", [True] * 10, strategy=commit)
    write(tmp_path / "other_delay.json", [True] * 10, **late(4, 4))
    write(tmp_path / "other_seed.json", [True] * 10, **{**late(), "seed": 1})
    first, second = sorted(found(tmp_path), key=lambda p: p.baseline.setting.delay, reverse=True)
    assert (first.run.arm, first.baseline.arm) == ("afm, handover commit", "afm")
    assert (first.success.solved, first.success.pairs, first.success.gain, first.success.p) == (
        (10, 6),
        10,
        0.4,
        0.125,
    )
    assert first.both == 6 and first.ratios["steps"] == (1.0, (1.0, 1.0))
    ratio = first.ratios["jerk_seam"]
    assert ratio is not None and ratio[0] == pytest.approx(0.25)
    assert second.baseline.setting.delay == 0 and second.baseline.setting.replan == 4
    assert second.success.solved == (10, 9)


def test_a_strategy_of_several_drafts_is_compared_with_naive_switching_too(tmp_path: Path) -> None:
    coherent = {"mode": "sfm", "best_of": 4, "choose": "coherent"}
    write(tmp_path / "naive.json", [True, False], strategy=Strategy("sfm", handover="switch"), **late())
    write(tmp_path / "switch.json", [True] * 2, strategy=Strategy(**coherent), **late())
    write(tmp_path / "commit.json", [True] * 2, strategy=Strategy(**coherent, handover="commit"), **late())
    many = "sfm, best_of 4, choose coherent"
    assert [(p.run.arm, p.baseline.arm, p.success.solved) for p in found(tmp_path)] == [
        (many, "sfm", (2, 1)),
        (f"{many}, handover commit", "sfm", (2, 1)),
        (f"{many}, handover commit", many, (2, 2)),
    ]


@pytest.fixture(scope="module")
def late_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Path]]:
    """Page and pictures about late answers of a switch and a handover, at three delays, and of lockstep."""
    folder = tmp_path_factory.mktemp("late")
    for delay in (1, 2, 4):
        for name in ("switch", "keep"):
            strategy = Strategy("sfm", handover=name)
            for suite in ("libero_object", "libero_goal"):
                file = folder / f"{name}_{delay}_{suite}.json"
                write(file, [True] * 4 + [name == "keep"] * 2, suite, strategy=strategy, **late(delay, 4))
    write(folder / "lockstep.json", [True] * 6, strategy=Strategy("sfm"), world="jump")
    text, *pictures = report(folder, folder / "out" / "results.md")
    return text.read_text(), pictures


KEPT = "| aaaa | seed 0 | jump | 2 | 4 | sfm, handover keep |"


def test_late_answers_have_a_row_for_each_setting(late_report: tuple[str, list[Path]]) -> None:
    page, _ = late_report
    assert (
        f"{KEPT} libero_goal, libero_object | 12/12 | 100.0% (75.8% to 100.0%) | 25.0 | 2.0 | 2/12 |" in page
    )
    assert f"{KEPT} libero_goal | 6/6 |" in page
    assert (
        "| aaaa | seed 0 | jump | 2 | 4 | sfm | libero_goal | 4/6 | 66.7% (30.0% to 90.3%) | 37.5 |" in page
    )
    assert "| lockstep | libero_object | aaaa | sfm | world jump |" in page
    assert "delay 2, replan 4, world jump" in page


def test_late_answers_are_compared_in_pairs(late_report: tuple[str, list[Path]]) -> None:
    page, _ = late_report
    pair = f"{KEPT} sfm | libero_goal, libero_object | 12 : 8 of 12 | +33.3%"
    assert pair in page and "| 8 | x 1.00 (1.00 to 1.00) | x 1.00 (1.00 to 1.00) | x 0.25 (" in page
    assert "| sfm | itself, delay 0, replan - | libero_object | 4 : 6 of 6 |" in page


def test_late_answers_become_a_picture_of_curves(late_report: tuple[str, list[Path]]) -> None:
    page, pictures = late_report
    assert [p.name for p in pictures] == ["results-delay.png"] and pictures[0].name in page
    assert pictures[0].read_bytes().startswith(b"\x89PNG")


def test_each_interval_has_a_curve_that_begins_in_lockstep(tmp_path: Path) -> None:
    write(tmp_path / "0.json", [True] * 2)
    for delay, replan in ((1, 1), (1, 4), (2, 2), (2, 4), (4, 4)):
        write(tmp_path / f"{delay}_{replan}.json", [True] * 2, **late(delay, replan, "still"))
    drawn = {
        name: [(run.setting.delay, run.setting.replan) for run in curve]
        for name, curve in curves(runs_of(load(tmp_path)["eval"]))
    }
    assert drawn == {
        "afm": [(0, None), (1, 1), (2, 2), (4, 4)],
        "afm, replan 4": [(0, None), (1, 4), (2, 4), (4, 4)],
    }


def test_handovers_of_lockstep_are_compared_by_interval(tmp_path: Path) -> None:
    for replan in (1, 8):
        for handover in ("switch", "keep"):
            strategy = Strategy("sfm", handover=handover)
            won = [True] * 3 + [handover == "keep" or replan == 8] * 3
            write(tmp_path / f"{handover}_{replan}.json", won, strategy=strategy, n_action_steps=replan)
    assert [(p.run.setting.replan, p.run.arm, p.success.solved) for p in found(tmp_path)] == [
        (1, "sfm, handover keep", (6, 3)),
        (8, "sfm, handover keep", (6, 6)),
    ]
    drawn = {
        name: [(run.setting.delay, run.setting.replan) for run in curve]
        for name, curve in curves(runs_of(load(tmp_path)["eval"]))
    }
    assert drawn == {"sfm": [(0, 1), (0, 8)], "sfm, handover keep": [(0, 1), (0, 8)]}
    _, *pictures = report(tmp_path, tmp_path / "results.md")
    assert "results-delay.png" in [picture.name for picture in pictures]


def test_a_threshold_of_kept_actions_tells_strategies_apart(tmp_path: Path) -> None:
    write(tmp_path / "switch.json", [True] * 3, strategy=Strategy("sfm", threshold=0.3), **late())
    for threshold in (0.3, 0.8):
        strategy = Strategy("sfm", handover="keep", threshold=threshold)
        write(tmp_path / f"{threshold}.json", [True] * 3, strategy=strategy, **late())
    assert [p.run.arm for p in found(tmp_path)] == [
        "sfm, threshold 0.3, handover keep",
        "sfm, threshold 0.8, handover keep",
    ]


def test_lockstep_alone_has_no_such_section(tmp_path: Path) -> None:
    write(tmp_path / "afm.json", [True] * 4)
    text, _ = report(tmp_path, tmp_path / "results.md")
    assert "late answers" not in text.read_text()
    write(tmp_path / "late.json", [True] * 4, **late())
    write(tmp_path / "again.json", [True] * 4, **late())
    with pytest.raises(AsyncVLAError, match=r"has 4 episodes of libero_object \(afm\) that another file has"):
        runs_of(load(tmp_path)["eval"])
