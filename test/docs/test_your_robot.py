"""The page about one's own robot: its commands, in their order, say and make what the page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from asyncvla_ros.cli.main import main
from doc_pages import read_page

ROOT = Path(__file__).parents[2]
PAGE = read_page((ROOT / "docs" / "your-robot.md").read_text())
CONTRACT = (ROOT / "docs" / "heron.yaml").read_text()


@pytest.fixture
def typed(monkeypatch, capsys, tmp_path):
    """Type a command of the page in a folder beside which the checkout's docs lie; all that it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")

    def type_in(command: str) -> str:
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit):
            main()
        said = capsys.readouterr()
        return said.out + said.err

    return type_in


def block(language: str, begin: str) -> str:
    (found,) = (b.text for b in PAGE.blocks if b.language == language and b.text.startswith(begin))
    return found


def test_from_a_urdf_to_a_contract_as_the_page_says(typed, tmp_path):
    drafted = typed(block("sh", "asyncvla new-robot"))
    assert drafted == block("", "heron.yaml: fill in")
    draft = (tmp_path / "heron.yaml").read_text()
    assert typed("asyncvla check --robot heron.yaml") == block("", "asyncvla: heron.yaml: not filled in")

    shown = {line for b in PAGE.blocks if b.language == "yaml" for line in b.text.splitlines()}
    new = set(CONTRACT.splitlines()) - set(draft.splitlines())
    assert new == shown - set(draft.splitlines()), "the page shows all that is filled in, and nothing else"
    gone = set(draft.splitlines()) - set(CONTRACT.splitlines())
    assert all(re.search(r"FILL_IN|joint_states|heron_jaw|action_hz", line) for line in gone)

    (tmp_path / "heron.yaml").write_text(CONTRACT)
    said = typed(block("sh", "asyncvla check --robot heron.yaml\n"))
    assert said.endswith(block("", "heron is a valid contract"))
