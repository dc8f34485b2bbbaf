"""Finds calls of this package's own functions and classes with more than four positional arguments.

``python tools/positional.py``; part of ``make lint``. What a number or a flag means cannot be seen in a long
row of them, so the rest is given by name.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, MOST = "asyncvla_ros", 4


def long_calls(files: Iterable[Path]) -> list[str]:
    """``FILE:LINE: NAME has N positional arguments``, of each call that has too many.

    Args:
        files: Python files; what is defined in any of them is the package's own.
    """
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    own = {name for tree in trees.values() for name in _defined(tree)}
    found = []
    for file, tree in trees.items():
        foreign = set(_imported_from_elsewhere(tree))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name, count = _name(node.func), sum(not isinstance(one, ast.Starred) for one in node.args)
            if count > MOST and name in own - foreign:
                found.append(f"{file}:{node.lineno}: {name} has {count} positional arguments")
    return found


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def _imported_from_elsewhere(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] != PACKAGE:
            yield from (alias.asname or alias.name for alias in node.names)


def _name(function: ast.expr) -> str:
    return str(getattr(function, "attr", None) or getattr(function, "id", ""))


def main() -> int:
    """Exit code: 1 if there are such calls."""
    found = long_calls(sorted((ROOT / PACKAGE).rglob("*.py")))
    print("\n".join(found) or "no call has more than four positional arguments")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
