"""What node processes need for camera images: room in Fast DDS, and memory that is not given back."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

from asyncvla_ros.paths import share_dir

# Parameters of glibc's mallopt, and its largest threshold [bytes].
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _LARGEST = -1, -3, 32 * 2**20

SHARED_MEMORY = Path("/dev/shm")
# Of config/fastdds.xml, for each process.
SEGMENT_BYTES = 64 * 2**20


def keep_image_memory() -> None:
    """Has the allocator of this process keep the memory of one image for the next.

    By default glibc asks the kernel for each block of that size and gives it back; the page faults make
    taking a 640x480 image in Python five times as slow. Without glibc nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    mallopt(_M_TRIM_THRESHOLD, 8 * _LARGEST)


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
