"""Retired options are still read, with one line on the error output."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import asyncvla_ros.cli.main
from asyncvla_ros.model.config import load_config
from support.checkpoints import tiny_checkpoint


def test_an_option_is_read_by_its_retired_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tiny_checkpoint(tmp_path / "tiny"), tmp_path / "out"
    options = ("--checkpoint", str(source), "--out", str(out), "--no-onnx", "--execute-steps", "3")
    monkeypatch.setattr(sys, "argv", ["asyncvla", "export", *options])
    with pytest.raises(SystemExit) as end:
        asyncvla_ros.cli.main.main()
    assert end.value.code == 0 and load_config(out).n_action_steps == 3
    assert capsys.readouterr().err == "asyncvla: --execute-steps is deprecated, use --n-action-steps\n"
