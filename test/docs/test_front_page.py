"""The program on the front page runs as it stands there, and its chunk has the shapes of the comment."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_program_of_the_front_page_runs():
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in program.splitlines() if line]) == 6
    shapes = dict(re.findall(r"\.(\w+) (\(\d+,[^)]*\))", program))
    assert set(shapes) == {"actions", "confidence", "refined"}
    asked = [f"print(chunk.{name}.shape)" for name in shapes]
    command = [sys.executable, "-c", "\n".join([program, *asked])]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == list(shapes.values())
