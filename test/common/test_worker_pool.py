from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from asyncvla_ros.common.worker_pool import worker_pool

PARENT = """
import os, time
from asyncvla_ros.common.worker_pool import worker_pool
with worker_pool(1) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
"""


def test_each_process_is_started_before_it_works(tmp_path: Path) -> None:
    with worker_pool(1, os.chdir, (tmp_path,)) as pool:
        assert pool.submit(os.getcwd).result() == str(tmp_path)


def test_an_exception_drops_what_has_not_begun(tmp_path: Path) -> None:
    with pytest.raises(KeyError), worker_pool(1) as pool:
        for number in range(20):
            pool.submit(os.mkdir, tmp_path / str(number))
        raise KeyError
    assert len(list(tmp_path.iterdir())) < 20


def test_a_killed_parent_leaves_no_worker_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            # Readable when the process has ended.
            assert select.select([worker], [], [], 30)[0]
        finally:
            os.close(worker)
