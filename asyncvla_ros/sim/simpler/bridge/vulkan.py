"""Choice of the simulator's Vulkan: that of a GPU, or the software Vulkan of ``tools/vulkan.py``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from asyncvla_ros.paths import PACKAGE

#: Folder of ``tools/vulkan.py`` in a checkout.
UNPACKED = PACKAGE.parent / ".cache" / "vulkan"
_NVIDIA = Path("/proc/driver/nvidia/version")
_CHOSEN = ("VK_ICD_FILENAMES", "VK_DRIVER_FILES")
REMEDY = (
    "mani-skill renders with Vulkan: it takes a GPU driver, or the software Vulkan of Mesa 24.3 or newer, "
    "which `python3 tools/vulkan.py` unpacks without root"
)


def vulkan_environment(environment: Mapping[str, str], unpacked: Path = UNPACKED) -> dict[str, str]:
    """Return the environment of a process that renders; the user's choice and a GPU take precedence.

    Args:
        environment: Environment of this process.
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
    """Return mani-skill's name of the rendering device."""
    return "gpu" if _NVIDIA.exists() else "cpu"
