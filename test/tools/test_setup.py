from __future__ import annotations

import re
from pathlib import Path

import pytest

import setup


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Commands with their variables that a setup of a checkout in a folder of odd letters would run."""
    root = tmp_path / "my röbot"
    (root / "asyncvla_msgs" / "msg").mkdir(parents=True)
    (root / "requirements.txt").touch()
    (root / "asyncvla_msgs" / "package.xml").write_text("<package/>")
    (root / ".venv").mkdir()
    asked = []

    def note(command, name, env=None):
        asked.append((command, env or {}))
        if name == "messages":
            base = next(part for part in command if part.startswith("--base-paths="))
            assert (Path(base.split("=", 1)[1]) / "package.xml").read_text() == "<package/>"

    names = {
        "ROOT": root,
        "VENV": root / ".venv",
        "CACHE": root / ".cache",
        "STAMPS": root / ".venv" / "done",
    }
    for name, path in names.items():
        monkeypatch.setattr(setup, name, path)
    monkeypatch.setattr(setup, "run", note)
    return asked


def test_messages_are_built_wherever_the_checkout_lies(commands):
    assert setup.build_messages() == "asyncvla_msgs built"
    (_, *arguments), variables = commands[0]
    read_by_cmake = [*arguments, variables["AMENT_PREFIX_PATH"], variables["CMAKE_PREFIX_PATH"]]
    assert all(re.fullmatch(r"[\w./=-]+", text, re.ASCII) for text in read_by_cmake)


def test_messages_are_built_once(commands):
    assert setup.build_messages() == "asyncvla_msgs built"
    assert setup.build_messages() == "up to date"
