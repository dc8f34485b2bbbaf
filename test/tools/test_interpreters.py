from __future__ import annotations

import sys
from pathlib import Path

import pytest

import interpreters


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a machine without Python 3.12 or uv, but with a pyenv shim that leads nowhere."""
    shims = tmp_path / "shims"
    executable(shims / "python3.12", "exit 127")
    monkeypatch.setenv("PATH", f"{shims}:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(interpreters, "SYSTEM_PYTHONS", ())
    return tmp_path


def test_a_shim_that_does_not_run_is_passed_over(machine):
    real = machine / "home" / ".pyenv" / "versions" / "3.12.10" / "bin" / "python3.12"
    executable(real.parents[2] / "3.12.9" / "bin" / "python3.12", "exit 0")
    executable(real, "exit 0")
    assert interpreters.find_python(machine / "cache") == real


def test_without_a_python_there_is_none(machine):
    assert interpreters.find_python(machine / "cache") is None


def test_a_python_of_another_version_is_refused(machine, monkeypatch):
    executable(machine / "shims" / "python3.12", f'exec {sys.executable} "$@"')
    monkeypatch.setattr(interpreters, "CHECK", interpreters.CHECK.replace("(3, 12)", "(2, 7)"))
    assert interpreters.find_python(machine / "cache") is None


def test_uv_of_an_earlier_set_up_is_used_again(machine):
    uv = executable(machine / "cache" / "uv" / "bin" / "uv", "exit 0")
    assert interpreters.find_uv(machine / "cache", None) == uv
