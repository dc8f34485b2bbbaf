from __future__ import annotations

from pathlib import Path

import pytest

import commands
import system_packages


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a Debian that has all but the optional packages, and logs what apt-get is asked for."""
    listed = "|".join(f"*{name}*" for name in system_packages.OPTIONAL_PACKAGES)
    executable(tmp_path / "dpkg-query", f'case "$*" in {listed}) exit 1;; esac; echo installed')
    executable(tmp_path / "apt-cache", "exit 0")
    executable(tmp_path / "sudo", 'shift; exec "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for module in (commands, system_packages):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")

    def apt_get(code: int) -> None:
        executable(tmp_path / "apt-get", f'echo "$*" >> {tmp_path}/asked; exit {code}')

    return tmp_path, apt_get


def test_optional_packages_are_tried_once_and_done_without(machine):
    path, apt_get = machine
    apt_get(code=100)
    assert system_packages.install_system_packages() == "all there"
    assert (path / "asked").read_text() == "update\n"
    assert system_packages.install_system_packages() == "all there"
    assert (path / "asked").read_text() == "update\n"


def test_only_what_the_release_has_is_installed(machine):
    path, apt_get = machine
    apt_get(code=0)
    executable(path / "apt-cache", 'case "$*" in *ignition-tools|*sdformat-sdf) exit 100;; esac')
    assert system_packages.install_system_packages() == "installed gz-tools2 libsdformat-dev ffmpeg"
    asked = (path / "asked").read_text().splitlines()
    assert asked[1] == "install --yes --no-install-recommends gz-tools2 libsdformat-dev ffmpeg"
