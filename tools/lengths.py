"""Find files and functions that are too long to read at once: ``python tools/lengths.py``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE_LINES = 300
FUNCTION_LINES = 60  # of code: signature and docstring of a command are its manual
PLACES = ("asyncvla_ros", "tools", "launch")


def main() -> int:
    """Print what is too long; return the exit code."""
    problems = long_code(ROOT, PLACES)
    print("\n".join(problems))
    return int(bool(problems))


def long_code(root: Path, places: tuple[str, ...]) -> list[str]:
    """Return one line for each file and each function below `places` that is longer than it may be."""
    files = sorted(file for place in places for file in (root / place).rglob("*.py"))
    return [problem for file in files for problem in _problems(file.relative_to(root), file.read_text())]


def _problems(file: Path, text: str) -> Iterator[str]:
    lines = len(text.splitlines())
    if lines > FILE_LINES:
        yield f"{file}: {lines} lines; a file has {FILE_LINES} at most"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _code_lines(node) > FUNCTION_LINES:
            yield (
                f"{file}:{node.lineno}: {node.name} has {_code_lines(node)} lines of code; "
                f"a function has {FUNCTION_LINES} at most"
            )


def _code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = 0 if ast.get_docstring(function) is None else 1
    code = function.body[first:]
    return (code[-1].end_lineno or 0) - code[0].lineno + 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
