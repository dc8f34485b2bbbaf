from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncvla_ros.cli.main import main
from asyncvla_ros.policy import Policy
from asyncvla_ros.robot.feature_file import load_features
from asyncvla_ros.sim.evaluation.results import EvalSettings
from support.checkpoints import tiny_checkpoint


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["asyncvla", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def checkpoint_of_zeros_and_ones(folder: Path) -> Path:
    """Write a checkpoint whose training data had gripper actions from 0 to 1."""
    tiny_checkpoint(folder)
    stats: dict[str, Any] = json.loads((folder / "norm_stats.json").read_text())
    stats["action"]["q01"][-1] = 0.0
    (folder / "norm_stats.json").write_text(json.dumps(stats))
    return folder


def test_an_unclear_convention_must_be_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = str(checkpoint_of_zeros_and_ones(tmp_path / "source")), str(tmp_path / "out")
    assert run(monkeypatch, "eval", "libero", "--checkpoint", source) == 2
    assert "say --convention gripper=open_is_one" in capsys.readouterr().err
    assert run(monkeypatch, "export", "--checkpoint", source, "--out", out, "--convention", "gripper=1") == 2
    assert "gripper is '1', choose one of env, open_is_one" in capsys.readouterr().err


def test_export_notes_conventions_that_libero_then_obeys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = str(checkpoint_of_zeros_and_ones(tmp_path / "source")), str(tmp_path / "out")
    said = ("--convention", "gripper=open_is_one")
    assert run(monkeypatch, "export", "--checkpoint", source, "--out", out, *said) == 0
    assert load_features(Path(out)).conventions == {"gripper": "open_is_one"}
    capsys.readouterr()
    # Far enough to find that there are fewer episodes than shards, so the gripper was accepted.
    one_episode = ("--tasks", "0", "--inits", "0", "--shard", "2/2")
    assert run(monkeypatch, "eval", "libero", "--checkpoint", out, *one_episode) == 2
    assert "--shard is 2/2, but episodes are 1" in capsys.readouterr().err
    assert run(monkeypatch, "eval", "libero", "--checkpoint", out, "--convention", "gripper=env") == 2
    assert "begin at 0" in capsys.readouterr().err


@pytest.mark.parametrize(("jacobian", "engine"), [("identity", "onnx"), ("full", "plain")])
def test_a_strategy_that_needs_gradients_gets_the_engine_that_has_them(
    jacobian: str, engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engines = []

    def note_engine(settings: EvalSettings, load_policy: Callable[[], Policy], *_: Any) -> dict[str, Any]:
        policy = load_policy()
        policy.check(settings.strategy)
        engines.append(policy.engine)
        return {}

    monkeypatch.setattr("asyncvla_ros.cli.eval._evaluate", note_engine)
    options = ("--delay", "2", "--handover", "guided", "--jacobian", jacobian, "--json", "-")
    assert run(monkeypatch, "eval", "libero", *options) == 0, capsys.readouterr().err
    assert engines == [engine]


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), (None, None)), (("--replan", "4"), (None, None)), (("--n-action-steps", "3"), (3, None))],
)
def test_the_checkpoints_own_interval_is_the_same_whoever_says_it(
    options: tuple[str, ...], expected: tuple[int | None, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[EvalSettings] = []
    monkeypatch.setattr("asyncvla_ros.cli.eval._evaluate", lambda settings, *_: asked.append(settings) or {})
    assert run(monkeypatch, "eval", "libero", *options, "--json", "-") == 0
    assert (asked[0].n_action_steps, asked[0].replan) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shard", "0/2"), "--shard is '0/2', expected I/N"),
        (("--delay", "5"), "delay is 5, expected 0 to 4"),
        (("--delay", "2", "--replan", "7"), "replan is 7, expected 2 to 6"),
        (("--delay", "2", "--n-action-steps", "4"), "cannot be given with --delay or --replan"),
        (("--convention", "gripper"), "--convention is 'gripper', expected KEY=VALUE"),
        (("--convention", "gripper=env", "--convention", "gripper=open_is_one"), "gripper is said twice"),
    ],
)
def test_bad_options_are_one_line(
    options: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "eval", "libero", *options) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.splitlines()) == 1
