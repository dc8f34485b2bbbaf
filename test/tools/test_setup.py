from __future__ import annotations

import re
from pathlib import Path

import setup


def test_messages_are_built_wherever_the_checkout_lies(tmp_path, monkeypatch):
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
    assert setup.build_messages() == "asyncvla_msgs built"
    (_, *arguments), variables = asked[0]
    read_by_cmake = [*arguments, variables["AMENT_PREFIX_PATH"], variables["CMAKE_PREFIX_PATH"]]
    assert all(re.fullmatch(r"[\w./=-]+", text, re.ASCII) for text in read_by_cmake)
    assert setup.build_messages() == "up to date"
