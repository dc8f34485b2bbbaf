from __future__ import annotations

from pathlib import Path

import pytest

from asyncvla_ros.training.processes import default_processes, per_process_batch, spawn_workers
from asyncvla_ros.training.run_state import lock_run
from asyncvla_ros.types import AsyncVLAError
from support.ranks import fail, refuse


def test_what_a_process_refuses_is_told_to_the_user() -> None:
    with pytest.raises(AsyncVLAError, match=r"^another run in process 1 of 2$"):
        spawn_workers(refuse, 2, "another run")


def test_a_bug_in_a_process_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(Exception, match="a bug") as caught:
        spawn_workers(fail, 2)
    assert not isinstance(caught.value, AsyncVLAError)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock_run(tmp_path / "run"):
        with (
            pytest.raises(AsyncVLAError, match=r"another process runs a training into .*run"),
            lock_run(tmp_path / "run"),
        ):
            raise AssertionError("two write here")
        # Of the same run: the launcher has begun it as several processes.
        monkeypatch.setenv("RANK", "1")
        with lock_run(tmp_path / "run"):
            monkeypatch.delenv("RANK")
    with lock_run(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())


def test_a_batch_is_shared_equally() -> None:
    assert per_process_batch(64, 2) == 32
    with pytest.raises(AsyncVLAError, match="--batch is 1, expected a multiple of the 2 processes"):
        per_process_batch(1, 2)


def test_no_more_processes_than_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 12)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert default_processes(64) == 4
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert default_processes(64) == 1
