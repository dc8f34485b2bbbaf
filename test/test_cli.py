from __future__ import annotations

import subprocess
import sys

import pytest

from asyncvla_ros.cli_options import indices
from asyncvla_ros.types import AsyncVLAError


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asyncvla_ros.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_indices_take_lists_and_ranges():
    assert indices("0,2,5-7,2", "inits") == (0, 2, 5, 6, 7)
    for text in ("", "a", "1-", "5-3"):
        with pytest.raises(AsyncVLAError, match="indices such as"):
            indices(text, "inits")


def test_bad_usage_exits_with_2_and_lists_the_choices():
    result = run("eval", "libero", "--suite", "libero_moon")
    assert result.returncode == 2
    assert "libero_object" in result.stderr and "Traceback" not in result.stderr
    assert run("bench", "policy", "--nonsense").returncode == 2


def test_a_missing_checkpoint_exits_with_2(tmp_path):
    result = run("bench", "policy", "--checkpoint", str(tmp_path))
    assert result.returncode == 2 and "is not an AsyncVLA checkpoint" in result.stderr
