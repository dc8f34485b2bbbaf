"""The program on the page about the server runs as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from asyncvla_ros.serve import client
from support.fractal_checkpoint import fractal_checkpoint
from support.policy_server import policy_server

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


def test_the_program_of_the_page_acts(tmp_path: Path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "act.py").write_text(program)
    shutil.copy(client.__file__, tmp_path)
    with policy_server(fractal_checkpoint(tmp_path / "tiny")) as (_, url):
        command = [sys.executable, "-W", "error", "act.py", url]
        result = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "'gripper'] 3.0 Hz" in lines[0]
    # Six actions of two seconds at 3 Hz, to the end of the second chunk of four.
    assert sum(line.endswith("actions refined") for line in lines) == 2
    assert sum(line.startswith("[") and line.endswith("]") for line in lines) == 8
