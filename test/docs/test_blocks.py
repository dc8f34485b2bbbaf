"""Blocks of commands that need nothing but a checkout run as they stand on their page."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from doc_pages import read_page

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.libero, pytest.mark.ros]

#: A page, what its block begins with, and a file that is there afterwards.
BLOCKS = (("docs/try-it.md", "asyncvla demo --inits 0 --record", "out/replay/report.html"),)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a folder with the files of a checkout that commands name, and ``asyncvla`` in ``bin``."""
    shipped = Path("asyncvla_ros") / "checkpoints"
    (tmp_path / shipped.parent).mkdir()
    (tmp_path / shipped).symlink_to(ROOT / shipped)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "asyncvla"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m asyncvla_ros.cli "$@"\n')
    program.chmod(0o755)
    return tmp_path


# Minutes on two idle cores, most of it rendering; the rest is patience with a busy machine.
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("page", "begin", "made"), BLOCKS)
def test_a_block_runs_as_it_stands(start_process, checkout, page, begin, made):
    blocks = read_page((ROOT / page).read_text()).blocks
    (block,) = (block for block in blocks if block.text.startswith(begin))
    run = "import os; os.chdir(os.environ['WHERE']); os.execlp('bash', 'bash', '-exc', os.environ['BLOCK'])"
    environment = {
        "BLOCK": block.text,
        "WHERE": str(checkout),
        "PATH": f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    process = start_process("-c", run, env=environment)
    assert process.process.wait() == 0
    assert (checkout / made).stat().st_size > 0
