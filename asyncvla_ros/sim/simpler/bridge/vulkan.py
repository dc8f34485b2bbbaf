"""Which Vulkan the simulator renders with: that of a GPU, or the software Vulkan of ``tools/vulkan.py``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from asyncvla_ros.paths import PACKAGE

#: Where ``tools/vulkan.py`` unpacks it in a checkout.
UNPACKED = PACKAGE.parent / ".cache" / "vulkan"
_NVIDIA = Path("/proc/driver/nvidia/version")
_CHOSEN = ("VK_ICD_FILENAMES", "VK_DRIVER_FILES")
REMEDY = (
    "mani-skill renders with Vulkan: it takes a GPU driver, or the software Vulkan of Mesa 24.3 or newer, "
    "which `python3 tools/vulkan.py` unpacks without root"
)


def vulkan_environment(environment: Mapping[str, str], unpacked: Path = UNPACKED) -> dict[str, str]:
    """Return the variables of a process that renders; what the user has chosen, and a GPU, go first.

    Args:
        environment: Variables of this process.
        unpacked: Folder of the software Vulkan.

    Returns:
        ``environment``, completed.
    """
    drivers = sorted(unpacked.glob("usr/share/vulkan/icd.d/lvp_icd*.json"))
    if not drivers or _NVIDIA.exists() or any(environment.get(name) for name in _CHOSEN):
        return dict(environment)
    libraries = [str(folder) for folder in sorted(unpacked.glob("usr/lib/*-linux-gnu"))]
    path = os.pathsep.join([*libraries, *filter(None, [environment.get("LD_LIBRARY_PATH")])])
    return {**environment, "VK_ICD_FILENAMES": str(drivers[0]), "LD_LIBRARY_PATH": path}


def render_backend() -> str:
    """Return mani-skill's name of the device that renders."""
    return "gpu" if _NVIDIA.exists() else "cpu"
