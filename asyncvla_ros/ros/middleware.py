"""The environment in which node processes are started: Fast DDS with room for camera images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from asyncvla_ros.paths import share_dir

SHARED_MEMORY = Path("/dev/shm")
# Of config/fastdds.xml, for each process.
SEGMENT_BYTES = 64 * 2**20


def fastdds_profile() -> Path:
    """The shipped Fast DDS profile."""
    return share_dir() / "config" / "fastdds.xml"


def fastdds_environment(processes: int) -> dict[str, str]:
    """Variables that make Fast DDS use the shipped profile in each of so many processes.

    Empty if the shared memory of this machine is too small for it, as in a container with the usual 64 MB:
    Fast DDS would give up shared memory altogether. Its defaults carry messages up to 512 KB.
    """
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < processes * SEGMENT_BYTES:
        return {}
    # Fast DDS 2 reads the older name only; Fast DDS 3 warns about it.
    older = os.environ.get("ROS_DISTRO") in ("humble", "jazzy")
    name = "FASTRTPS_DEFAULT_PROFILES_FILE" if older else "FASTDDS_DEFAULT_PROFILES_FILE"
    return {name: str(fastdds_profile())}
