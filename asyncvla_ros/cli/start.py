"""Entry point of ``asyncvla``: with the ROS of its own environment, whatever the shell has sourced."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

# What a shell that has sourced a ROS distribution hands on; the Makefile drops the same.
SOURCED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "ROS_DISTRO",
)


def without_foreign_ros(environment: Mapping[str, str], packages: Path) -> dict[str, str] | None:
    """Remove other ROS installations than that of this Python; None if there are none.

    Two builds of rclpy in one process end in a crash or in symbols that are missing. An environment without
    a ROS of its own, as on a robot, needs the one that is sourced.

    Args:
        environment: Of this process.
        packages: Where this Python's own packages are.
    """
    if not (packages / "rclpy").is_dir():
        return None
    sourced = (Path(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry)
    if not any((entry / "rclpy").is_dir() and entry.resolve() != packages.resolve() for entry in sourced):
        return None
    return {name: text for name, text in environment.items() if name not in SOURCED}


def main() -> None:
    """Run ``asyncvla``, in a new process image if it needs another environment."""
    environment = without_foreign_ros(os.environ, Path(sysconfig.get_paths()["purelib"]))
    if environment is not None:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    # Only here: everything that it imports may be the wrong one.
    from asyncvla_ros.cli.main import main as run

    run()
