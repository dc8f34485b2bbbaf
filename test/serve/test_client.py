"""The client is one file for other programs, in other versions of Python."""

from __future__ import annotations

import ast
from pathlib import Path

from asyncvla_ros.serve import client
from support.blocked_imports import run_with_only

FILE = Path(client.__file__)
NEEDS = ("numpy", "msgpack", "websockets")


def test_it_needs_three_packages_and_no_other_file():
    load = f"import runpy; runpy.run_path({str(FILE)!r})"
    result = run_with_only(NEEDS, load)
    assert result.returncode == 0, result.stderr
    assert "msgpack is not installed here" in run_with_only(("numpy", "websockets"), load).stderr


def test_it_is_reached_through_the_package_without_torch():
    result = run_with_only(NEEDS, "import asyncvla_ros.serve.client")
    assert result.returncode == 0, result.stderr


def test_it_is_python_3_9():
    ast.parse(FILE.read_text(), feature_version=(3, 9))
