"""``asyncvla data`` as a user sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.datasets import change_columns, write_dataset


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asyncvla_ros.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_datasets_are_described_and_refused_by_the_exit_code(tmp_path: Path):
    write_dataset(tmp_path / "a")
    result = run("data", str(tmp_path))
    assert result.returncode == 0 and result.stdout.endswith("nothing speaks against training on this\n")
    write_dataset(tmp_path / "b")
    change_columns(tmp_path / "b", action=[[float("nan"), 0.0]] * 9)
    result = run("data", str(tmp_path))
    assert result.returncode == 1 and "a: 2 episodes" in result.stdout and "b: 2 episodes" in result.stdout
    assert f"PROBLEM  {tmp_path / 'b'}: j1 = nan in frame 0 of episode 0" in result.stdout
    assert not result.stderr


def test_an_old_dataset_is_told_how_to_be_converted(tmp_path: Path):
    root = write_dataset(tmp_path / "d")
    info = root / "meta" / "info.json"
    info.write_text(info.read_text().replace("v3.0", "v2.1"))
    result = run("data", str(root))
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert f"--root={root} --push-to-hub=false" in " ".join(result.stderr.split())
