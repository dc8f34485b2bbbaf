"""Find commands on pages with unknown subcommands, options, choices, make targets or files.

Nothing is run: lines of fenced blocks and code within sentences are parsed like a command line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import TyperException

from asyncvla_ros.cli.main import app
from doc_pages import pages, read_page

PROGRAM = "asyncvla"
#: Languages of fenced blocks that contain command lines.
SHELLS = ("", "sh", "bash", "console")
#: Folders of the checkout, of which files in commands must exist.
FILES = re.compile(r"(tools|test)/\S+\.py|launch/\S+\.launch\.py")
ELISIONS = ("...", "…")
REDIRECTIONS = (">", ">>", "<", "&>")


def wrong_commands(root: Path) -> list[str]:
    """Return one line per wrong command of all pages."""
    targets = make_targets((root / "Makefile").read_text())
    problems = []
    for path in pages(root):
        page = read_page(path.read_text())
        found = [(code, line, False) for code, line in page.code]
        for block in page.blocks:
            if block.language in SHELLS:
                found += [(text, block.line + row, True) for text, row in _lines(block.text)]
        for text, line, whole in found:
            for problem in command_problems(text, root, targets, whole=whole):
                problems.append(f"{path.relative_to(root)}:{line}: {problem}")
    return problems


def command_problems(line: str, root: Path, targets: set[str], *, whole: bool = False) -> Iterator[str]:
    """Return the problems of one line of a shell; none for other programs.

    Args:
        line: A command line, or a part of a sentence.
        root: The checkout.
        targets: Targets of the Makefile.
        whole: Whether the line is complete, so that required arguments must be present.
    """
    for words in _simple_commands(line):
        name, start = _program(words)
        arguments = words[start + 1 :]
        if name == PROGRAM:
            elided = any(word in ELISIONS for word in arguments)
            yield from _cli_problems(arguments, whole=whole and not elided)
        elif name == "make":
            for word in arguments:
                if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-") and word not in targets:
                    yield f"make has no target {word}; it has {', '.join(sorted(targets))}"
        elif name and arguments:
            file = f"launch/{arguments[0]}" if name == "launch" else arguments[0]
            if FILES.fullmatch(file) and not (root / file).is_file():
                yield f"there is no {file}"


def make_targets(makefile: str) -> set[str]:
    """Return the targets of a Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def _program(words: list[str]) -> tuple[str, int]:
    """Return the known program that a command runs, and its index among the words; "" if none."""
    for index, word in enumerate(words):
        base = word.rsplit("/", 1)[-1]
        if base == PROGRAM and not word.startswith("-") and words[:index] != ["pip", "install"]:
            return PROGRAM, index
        if words[index : index + 2] == ["-m", "asyncvla_ros.cli"]:
            return PROGRAM, index + 1
        if index == 0 and base in ("make", "python", "python3"):
            return base.rstrip("3"), index
        if words[:3] == ["ros2", "launch", "asyncvla_ros"]:
            return "launch", 2
    return "", len(words)


def _cli_problems(arguments: list[str], *, whole: bool) -> Iterator[str]:
    command: Any = typer.main.get_command(app)
    context = typer.Context(command, info_name=PROGRAM)
    words = list(arguments)
    while hasattr(command, "commands") and words and words[0] not in ELISIONS and words[0][0] != "-":
        if words[0] not in command.commands:
            known = ", ".join(sorted(command.commands))
            yield f"{context.command_path} has no command {words[0]}; it has {known}"
            return
        command = command.commands[words[0]]
        context = typer.Context(command, info_name=words.pop(0), parent=context)
    if "--help" in words:
        return
    if not whole and words and _takes_value(command, words[-1]):
        words.append("VALUE")
    try:
        given, rest, _ = command.make_parser(context).parse_args(args=words)
    except TyperException as error:
        yield f"{context.command_path}: {error.format_message()}"
        return
    if rest := [word for word in rest if word not in ELISIONS]:
        yield f"{context.command_path}: unexpected {' '.join(rest)}"
    for parameter in command.params:
        if whole and parameter.required and not given.get(parameter.name):
            yield f"{context.command_path}: {'/'.join(parameter.opts)} is required"
        yield from _choice_problems(parameter, given.get(parameter.name), context)


def _takes_value(command: Any, word: str) -> bool:
    """Return whether a word is an option whose value the sentence omits."""
    return any(word in one.opts and not getattr(one, "is_flag", True) for one in command.params)


def _choice_problems(parameter: Any, value: Any, context: Any) -> Iterator[str]:
    listed = re.fullmatch(r"<([\w-]+(?:\|[\w-]+)+)>", parameter.display_type(context))
    if listed is None:
        return
    for text in value if isinstance(value, list) else [value]:
        # Words in capitals and variables are placeholders.
        named = isinstance(text, str) and re.fullmatch(r"[a-z0-9_-]+", text)
        if named and text not in listed[1].split("|"):
            yield f"{context.command_path}: {parameter.opts[0]} {text}, expected {listed[1]}"


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Yield the lines of a block with their numbers from 0; join lines that a backslash continues."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines()):
        first = first if joined else number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        yield joined + line, first
        joined = ""
    if joined:
        yield joined, first


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Return the words of each command in a line, without prompts, redirections and brackets."""
    # Arithmetic is one word, and 2>&1 is none.
    line = re.sub(r"\d?>&\d", "", re.sub(r"\$\(\(.*?\)\)", "$N", line))
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words = [word.strip("[]") for word in lexer]
    except ValueError:
        # An open quotation mark: this is no shell command.
        return
    words = words[1:] if words[:1] == ["$"] else words
    command: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in REDIRECTIONS:
            skip = True
        elif re.fullmatch(r"[;&|]+", word):
            yield command
            command = []
        elif f"{PROGRAM} " in word:
            # A quoted command, which another program runs.
            yield from _simple_commands(word)
        elif word:
            command.append(word)
    if command:
        yield command
