from __future__ import annotations

import os
from pathlib import Path

import pytest

from asyncvla_ros.ros import domain
from asyncvla_ros.types import RunError

pytestmark = pytest.mark.ros


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(domain.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_two_at_the_same_time_get_two_domains(folder):
    with domain.free_domain() as one, domain.free_domain() as other:
        assert one != other
    assert not [file for file in folder.iterdir() if not file.name.endswith(".lock")]


def test_the_lock_files_of_another_user_serve_as_well(folder):
    """Of whom nobody else may write them."""
    for number in domain.DOMAINS:
        (folder / f"asyncvla-ros-domain-{number}.lock").touch(mode=0o444)
    opened = os.open

    def as_another(path: Path, flags: int, *mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *mode)

    domain.os.open, before = as_another, domain.os.open
    try:
        with domain.free_domain() as found:
            assert found in domain.DOMAINS
    finally:
        domain.os.open = before


def test_where_no_lock_can_be_made_that_is_said(folder, monkeypatch):
    monkeypatch.setattr(domain.tempfile, "gettempdir", lambda: str(folder / "missing"))
    expected = r"asyncvla-ros-domain-\d+.lock cannot be opened to reserve a ROS domain"
    with pytest.raises(RunError, match=expected), domain.free_domain():
        pass
