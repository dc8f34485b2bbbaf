"""System packages of Debian and Ubuntu, installed by apt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from commands import CACHE, SetupError, run

# Headless rendering: EGL in software.
RENDERING = ("libegl1", "libegl-mesa0", "libgl1", "libgl1-mesa-dri", "libgles2")
# Libraries of OpenCV, the compiler for asyncvla_msgs, and tools to make the environment.
SYSTEM_PACKAGES = (*RENDERING, "libglib2.0-0", "g++", "python3-venv")
# Gazebo's parser, `ign sdf`, only for tests of world and arm. Not every release has it.
OPTIONAL_PACKAGES = ("ignition-tools", "libsdformat-dev", "sdformat-sdf", "ffmpeg")
# Other names in newer releases.
RENAMED = {"libglib2.0-0": "libglib2.0-0t64", "ignition-tools": "gz-tools2"}


def install_system_packages() -> str:
    """Install missing packages and describe it; SetupError if the user has to do it."""
    if shutil.which("dpkg-query") is None:
        return f"skipped, this is not Debian or Ubuntu; needed are the likes of {' '.join(SYSTEM_PACKAGES)}"
    missing = [name for name in SYSTEM_PACKAGES if not _is_installed(name)]
    if missing:
        command = _apt_install(missing)
        if os.geteuid() != 0:
            if shutil.which("sudo") is None or not _may_sudo():
                raise SetupError(f"System packages are missing; install them with: sudo {' '.join(command)}")
            command = ["sudo", *command]
        prefix = command[: command.index("apt-get")]
        run([*prefix, "apt-get", "update"], "apt-update")
        run(command, "apt-install", env={"DEBIAN_FRONTEND": "noninteractive"})
    optional = _install_optional_packages()
    return f"installed {' '.join([*missing, *optional])}" if missing or optional else "all there"


def _install_optional_packages() -> list[str]:
    """Try once per checkout and list, without asking; continue without packages that fail."""
    attempt = CACHE / "setup" / "optional-packages"
    missing = [name for name in OPTIONAL_PACKAGES if not _is_installed(name)]
    if not missing or (attempt.exists() and attempt.read_text() == " ".join(OPTIONAL_PACKAGES)):
        return []
    attempt.parent.mkdir(parents=True, exist_ok=True)
    attempt.write_text(" ".join(OPTIONAL_PACKAGES))
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    try:
        run([*prefix, "apt-get", "update"], "apt-update-optional")
        known = [found for name in missing if (found := _candidate(name)) is not None]
        run(
            [*prefix, *_apt_install(known)], "apt-install-optional", env={"DEBIAN_FRONTEND": "noninteractive"}
        )
    except (SetupError, OSError):
        return []
    return known


def _is_installed(package: str) -> bool:
    names = [package, RENAMED.get(package, package)]
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}\n", *names]
    result = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return "installed" in result.stdout.split()


def _apt_install(packages: Sequence[str]) -> list[str]:
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages]


def _candidate(package: str) -> str | None:
    """Return the name under which apt has a package; None if this release lacks it."""
    for name in (package, RENAMED.get(package, package)):
        command = ["apt-cache", "show", "--quiet", name]
        if subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            return name
    return None


def _may_sudo() -> bool:
    """Return whether sudo works: without a password, or with a terminal to ask for it."""
    silent = ["sudo", "--non-interactive", "true"]
    return sys.stdin.isatty() or subprocess.call(silent, stderr=subprocess.DEVNULL) == 0
