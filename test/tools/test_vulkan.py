from __future__ import annotations

from pathlib import Path

import pytest

import commands
import vulkan

RELEASE = 'PRETTY_NAME="Debian 12"\nID=debian\nVERSION_CODENAME=bookworm\n'
TARGETS = (
    "http://mirror/debian/ bookworm bookworm main\nhttp://mirror/debian/ bookworm-updates stable-updates main"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a Debian whose apt has one mirror and a Mesa, and logs what apt-get and dpkg are asked for."""
    for module in (commands, vulkan):
        monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(vulkan, "TARGET", tmp_path / "cache" / "vulkan")
    monkeypatch.setattr(vulkan, "NVIDIA", tmp_path / "version")
    monkeypatch.setattr(vulkan, "OS_RELEASE", tmp_path / "os-release")
    (tmp_path / "os-release").write_text(RELEASE)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    archives = tmp_path / "cache" / "vulkan-download" / "archives"

    def offers(version: str, code: int = 0) -> Path:
        executable(
            tmp_path / "apt-get",
            f'if [ "$1" = indextargets ]; then echo "{TARGETS}"; exit; fi\n'
            f'echo "$*" >> {tmp_path}/asked\ncase "$*" in *install*) touch '
            f"{archives}/mesa-vulkan-drivers_{version}_amd64.deb;; esac; exit {code}",
        )
        icd = "$3/usr/share/vulkan/icd.d"
        executable(tmp_path / "dpkg", f'mkdir -p "{icd}" && touch "{icd}/lvp_icd.json"')
        return tmp_path

    return offers


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_driver_is_taken_from_the_backports_of_the_machines_own_mirror(machine, monkeypatch):
    path = machine("25.0.7-2")
    sources: list[str] = []
    run = vulkan.run

    def noting(command: list[str], name: str) -> None:
        if name == "vulkan-update":
            sources.extend((path / "cache/vulkan-download/sources.list").read_text().splitlines())
        run(command, name)

    monkeypatch.setattr(vulkan, "run", noting)
    assert vulkan.unpack_vulkan() == "unpacked into cache/vulkan"
    assert [line.split("] ")[-1].removeprefix("deb ") for line in sources] == [
        "http://mirror/debian/ bookworm main",
        "http://mirror/debian/ bookworm-updates main",
        "http://mirror/debian/ bookworm-backports main",
    ]
    update, install = (path / "asked").read_text().splitlines()
    assert update.endswith(" update") and "--download-only" in install
    assert "--target-release=bookworm-backports mesa-vulkan-drivers" in install
    assert (path / "cache/vulkan/usr/share/vulkan/icd.d/lvp_icd.json").is_file()
    assert vulkan.unpack_vulkan() == "up to date"


def test_a_mesa_that_sapien_refuses_is_not_unpacked(machine):
    path = machine("24.2.8-1")
    with pytest.raises(commands.SetupError, match=r"drivers_24.2.8-1_amd64.deb, expected Mesa 24.3"):
        vulkan.unpack_vulkan()
    assert not (path / "cache/vulkan").exists()


def test_the_set_up_tries_once_and_does_without(machine):
    path = machine("25.0.7-2", code=100)
    assert "done without" in vulkan.unpack_vulkan_once()
    assert len((path / "asked").read_text().splitlines()) == 1
    assert "python3 tools/vulkan.py tries again" in vulkan.unpack_vulkan_once()
    assert len((path / "asked").read_text().splitlines()) == 1
    machine("25.0.7-2")
    vulkan.unpack_vulkan()
    assert vulkan.unpack_vulkan_once() == "up to date"


def test_a_machine_with_a_gpu_needs_none(machine):
    (machine("25.0.7-2") / "version").touch()
    assert vulkan.unpack_vulkan_once() == "not needed beside an NVIDIA driver"
