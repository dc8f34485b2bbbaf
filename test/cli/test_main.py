from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import asyncvla_ros.cli.main
from asyncvla_ros.cli.options import write_json
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import RunError
from support.checkpoints import tiny_checkpoint


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asyncvla_ros.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for out, message in (
        (tmp_path, "is a folder, expected a file"),
        (tmp_path / "file" / "eval.json", "cannot be written: "),
    ):
        result = run("eval", "libero", "--checkpoint", "missing", "--json", str(out))
        assert result.returncode == 2 and "Traceback" not in result.stderr
        assert f"--json {out} {message}" in " ".join(result.stderr.split())


def test_an_error_of_the_system_is_one_line(tmp_path):
    name = "x" * 300
    for arguments in (
        ("check", "--robot", name),
        ("export", "--checkpoint", str(tiny_checkpoint(tmp_path / "tiny")), "--out", "/proc/nowhere"),
    ):
        result = run(*arguments)
        assert result.returncode in (1, 2) and "Traceback" not in result.stderr
        assert result.stderr.startswith("asyncvla: ") and len(result.stderr.splitlines()) == 1


def test_bad_usage_exits_with_2_and_lists_the_choices():
    result = run("eval", "libero", "--suite", "libero_moon")
    assert result.returncode == 2
    assert "libero_object" in result.stderr and "Traceback" not in result.stderr
    assert run("bench", "policy", "--nonsense").returncode == 2


def test_export_sets_defaults_and_halves_the_weights(tmp_path):
    source = tiny_checkpoint(tmp_path / "tiny")
    options = ("--denoise-steps", "5", "--n-action-steps", "3", "--threshold", "0.25")
    result = run("export", "--checkpoint", str(source), "--out", str(tmp_path / "out"), "--no-onnx", *options)
    assert result.returncode == 0, result.stderr
    config = load_checkpoint(tmp_path / "out").model.config
    assert (config.num_denoise_steps, config.num_refine_steps, config.n_action_steps) == (5, 2, 3)
    assert config.rater is not None and config.rater.threshold == 0.25
    result = run(
        "export", "--checkpoint", str(source), "--out", str(tmp_path / "bad"), "--n-action-steps", "9"
    )
    assert result.returncode == 2 and "n_action_steps is 9, expected at most the 8 actions" in result.stderr
    assert not (tmp_path / "bad").exists()


def _export(source, out, *options):
    return run("export", "--no-onnx", "--checkpoint", str(source), "--out", str(out), *options)


def test_export_writes_how_the_policy_decides_by_default(tmp_path):
    options = ("--mode", "sfm", "--denoise-steps", "1", "--best-of", "4", "--choose", "mean")
    assert _export(tiny_checkpoint(tmp_path / "tiny"), tmp_path / "mean", *options).returncode == 0
    config = load_checkpoint(tmp_path / "mean").model.config
    assert config.strategy == {"mode": "sfm", "best_of": 4, "choose": "mean"}
    assert config.num_denoise_steps == 1


@pytest.fixture
def varied(tmp_path):
    """Write a checkpoint that takes the mean of four drafts and selects by variance."""
    options = ("--mode", "sfm", "--denoise-steps", "1", "--best-of", "4", "--choose", "mean")
    chosen = ("--select", "variance", "--threshold", "2.5", "--handover", "guided", "--guidance", "3")
    assert _export(tiny_checkpoint(tmp_path / "tiny"), tmp_path / "mean", *options).returncode == 0
    assert _export(tmp_path / "mean", tmp_path / "varied", *chosen).returncode == 0
    return tmp_path / "varied"


def test_what_is_exported_again_keeps_what_is_not_given(varied):
    config = load_checkpoint(varied).model.config
    assert config.resolve(Strategy()) == Strategy(
        "sfm", "variance", 2.5, 1, 1, 2, 4, "mean", "guided", "identity", 3.0
    )
    assert config.rater is not None and config.rater.threshold == 0.5


def test_a_threshold_of_another_signal_is_not_kept(varied, tmp_path):
    assert _export(varied, tmp_path / "rated", "--select", "rater").returncode == 0
    assert "threshold" not in load_checkpoint(tmp_path / "rated").model.config.strategy


def test_a_strategy_that_cannot_work_is_not_exported(varied, tmp_path):
    impossible = _export(varied, tmp_path / "bad", "--mode", "afm", "--rounds", "2")
    assert impossible.returncode == 2
    assert "select 'variance' of 4 drafts" in " ".join(impossible.stderr.split())
    assert not (tmp_path / "bad").exists()


def test_export_keeps_the_steps_whose_variance_a_rater_reads(tmp_path):
    source = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    rater = RaterConfig(num_layers=1, reads=("variance",))
    config = replace(source.model.config, rater=rater)
    save_checkpoint(tmp_path / "reading", replace(source, model=AsyncVLA(config)))
    options = (
        *("export", "--no-onnx", "--checkpoint", str(tmp_path / "reading")),
        *("--out", str(tmp_path / "out")),
    )
    result = run(*options, "--denoise-steps", "5")
    assert result.returncode == 2 and "read the variance of 2 steps; export the policy with 5 first" in (
        " ".join(result.stderr.split())
    )
    assert run(*options, "--denoise-steps", "2", "--refine-steps", "3").returncode == 0


def test_a_missing_checkpoint_exits_with_2(tmp_path):
    result = run("bench", "policy", "--checkpoint", str(tmp_path))
    assert result.returncode == 2 and "is not an AsyncVLA checkpoint" in result.stderr


def test_units_in_help_and_tables_are_not_taken_for_styles():
    """Rich leaves out what it takes for the name of a style: "p50 [ms]" would be shown as "p50"."""
    folder = Path(asyncvla_ros.cli.main.__file__).parent
    modules = sorted(folder.glob("*.py"))
    assert len(modules) > 3
    for module in modules:
        literals = (n.value for n in ast.walk(ast.parse(module.read_text())) if isinstance(n, ast.Constant))
        lost = [v for v in literals if isinstance(v, str) and re.search(r"\[(m|s|ms|px|Hz|rad)\]", v)]
        assert not lost, f"{module.name}: {lost}"


def test_metrics_are_written_whole_or_printed(tmp_path, capsys):
    out = tmp_path / "metrics.json"
    out.write_text("before")
    write_json({"n": 1}, out)
    assert json.loads(out.read_text()) == {"n": 1}
    gone = tmp_path / "gone" / "metrics.json"
    with pytest.raises(RunError, match=r"cannot be written .*; its content was printed instead"):
        write_json({"n": 2}, gone)
    assert json.loads(capsys.readouterr().out) == {"n": 2}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["metrics.json"]
