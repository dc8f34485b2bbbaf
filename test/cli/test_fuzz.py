"""Whatever is typed after ``asyncvla``: it says what is wrong, in one of the project's own errors."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import typer
from typer.testing import CliRunner

from asyncvla_ros.cli.main import app
from asyncvla_ros.types import AsyncVLAError, RunError

CASES = 150
VALUES = (
    *(
        "",
        " ",
        "-",
        "--",
        "-1",
        "0",
        "1e400",
        "nan",
        "inf",
        "7",
        "on",
        "é",
        "a,b",
        "0-",
        "3-1",
        "9" * 30,
        "x" * 300,
    ),
    *(
        "afm",
        "libero_object",
        "ur5e",
        "/dev/null",
        "/proc/self/mem",
        "~",
        "~nobody/x",
        "a\nb",
        "[red]",
        "%s",
        "{}",
    ),
)


def _anchors(missing: Path, file: Path, out: Path) -> dict[tuple[str, ...], list[str]]:
    """By command, what ends it before its work begins."""
    no_json = ["--json", str(file / "metrics.json")]
    data, checkpoint = ["--data", str(missing)], ["--checkpoint", str(missing)]
    return {
        ("check",): ["--robot", str(missing / "x.yaml")],
        ("data",): [str(missing)],
        ("new-robot",): ["arm", "--urdf", str(missing)],
        ("demo",): checkpoint,
        ("collect",): ["--suite", "nothing", "--out", str(out)],
        ("init",): [*data, "--random", "--out", str(out)],
        ("train",): [*data, "--out", str(out)],
        ("train-rater",): [*data, *checkpoint, "--out", str(out)],
        ("export",): [*checkpoint, "--out", str(out)],
        ("report",): [str(missing)],
        ("serve",): checkpoint,
        ("eval", "libero"): checkpoint,
        ("eval", "expert"): ["--suite", "nothing"],
        ("eval", "demos"): [*data, *checkpoint],
        ("eval", "bridge"): ["--task", "nothing"],
        ("bench", "policy"): checkpoint,
        ("bench", "data"): data,
        ("bench", "runtimes"): no_json,
        ("bench", "transport"): no_json,
        ("bench", "stack"): no_json,
        ("bench", "faults"): no_json,
        ("bench", "safety"): no_json,
    }


def _options(command: tuple[str, ...]) -> list[str]:
    found = typer.main.get_command(app)
    for name in command:
        found = found.commands[name]  # type: ignore[attr-defined]
    return [one.opts[0] for one in found.params if one.opts[0].startswith("--")]


def test_every_command_answers_odd_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.touch()
    anchors = _anchors(tmp_path / "missing", file, tmp_path / "out")
    rng, codes, asked = random.Random(0), Counter[object](), Counter[tuple[str, ...]]()
    for _ in range(CASES):
        command = rng.choice(list(anchors))
        asked[command] += 1
        odd = [
            part
            for name in rng.choices(_options(command), k=rng.choice([1, 1, 2]))
            for part in (name, rng.choice(VALUES))
        ]
        result = CliRunner().invoke(app, [*command, *odd, *anchors[command]])
        error = result.exception
        assert isinstance(error, SystemExit | AsyncVLAError | RunError | OSError), (command, odd, error)
        assert str(error)
        codes[error.code if isinstance(error, SystemExit) else type(error).__name__] += 1
    assert set(asked) == set(anchors)
    assert 0 not in codes and codes[2] > CASES / 5 and codes["AsyncVLAError"] > CASES / 10, codes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"], "nothing is left behind"
