from __future__ import annotations

import pytest

from doc_commands import command_problems, make_targets, wrong_commands

TARGETS = {"demo", "test"}


@pytest.fixture
def checkout(tmp_path):
    for file in ("tools/there.py", "launch/arm.launch.py"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    (tmp_path / "docs").mkdir()
    (tmp_path / "Makefile").write_text("BIN := .venv/bin\n.PHONY: demo\ndemo: setup\n\t@true\ntest:\n")
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "asyncvla check --robot ur5e   # a comment with --no-such-option",
        ".venv/bin/asyncvla eval libero --tasks 0-3 --mode afm > out.txt 2>&1 && asyncvla report FOLDER",
        "CUDA_VISIBLE_DEVICES=1 exec asyncvla serve --device cuda &",
        "torchrun --no-python bash -c 'exec asyncvla collect --out a --shard $((RANK + 1))/$N'",
        "$ python -m asyncvla_ros.cli bench policy --json - | tee log",
        "asyncvla train --data a --data b --out runs/$NAME --decode=stream",
        "asyncvla train ...",
        "asyncvla --help",
        "make demo",
        "make -C $HOME/other demo",
        "python3 tools/there.py --any",
        "ros2 launch asyncvla_ros arm.launch.py robot:=ur5e",
        "cat asyncvla.txt; it's no shell",
    ],
)
def test_what_exists_is_accepted(checkout, line):
    assert list(command_problems(line, checkout, TARGETS, whole=True)) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("asyncvla inspect --robot ur5e", "asyncvla has no command inspect; it has bench, check, "),
        ("asyncvla eval libro --tasks all", "asyncvla eval has no command libro"),
        ("asyncvla check --robt ur5e", "asyncvla check: No such option: --robt"),
        ("cd a && asyncvla serve --prt 8765", "asyncvla serve: No such option: --prt"),
        ("bash -c 'exec asyncvla serve --prt 8765'", "asyncvla serve: No such option: --prt"),
        ("asyncvla eval libero --mode amf", "--mode amf, expected afm|sfm"),
        ("asyncvla report FOLDER another", "asyncvla report: unexpected another"),
        ("asyncvla serve --device", "asyncvla serve: Option '--device' requires an argument."),
        ("asyncvla collect --suite libero_object", "asyncvla collect: --out is required"),
        ("make demos", "make has no target demos; it has demo, test"),
        ("python tools/gone.py", "there is no tools/gone.py"),
        ("ros2 launch asyncvla_ros leg.launch.py", "there is no launch/leg.launch.py"),
    ],
)
def test_what_does_not_exist_is_named(checkout, line, problem):
    (found,) = command_problems(line, checkout, TARGETS, whole=True)
    assert problem in found


def test_a_sentence_may_leave_out_values_and_what_is_required(checkout):
    for code in (
        "asyncvla demo --record",
        "asyncvla train",
        "asyncvla check --robot X [--checkpoint FOLDER]",
        "asyncvla eval demos --json ... --unseen",
    ):
        assert list(command_problems(code, checkout, TARGETS)) == []
    assert list(command_problems("asyncvla demo --recrd", checkout, TARGETS))


def test_commands_of_blocks_cells_and_sentences_are_found(checkout):
    (checkout / "README.md").write_text(
        "Type `asyncvla one`.\n\n| a |\n|---|\n| `asyncvla two` |\n\n"
        "```sh\nasyncvla train --data a \\\n  --ouch runs\n```\n\n```python\nasyncvla four\n```\n"
    )
    found = wrong_commands(checkout)
    assert [line.split(": ")[0] for line in found] == ["README.md:1", "README.md:5", "README.md:8"]
    assert "no command one" in found[0] and "no command two" in found[1] and "--ouch" in found[2]


def test_targets_are_those_of_the_makefile(checkout):
    assert make_targets((checkout / "Makefile").read_text()) == TARGETS
