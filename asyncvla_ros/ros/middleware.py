"""What node processes need for camera images: room in Fast DDS, and memory that is not given back."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
from pathlib import Path

from asyncvla_ros.paths import share_dir

# Parameters of glibc's mallopt, and its largest threshold [bytes].
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _LARGEST = -1, -3, 32 * 2**20

SHARED_MEMORY = Path("/dev/shm")
_PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_OWN_NETWORK = ("FASTDDS_BUILTIN_TRANSPORTS", "ROS_STATIC_PEERS")
_DISCOVERY, _LOCALHOST_ONLY = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"
# Of config/fastdds.xml, for each process.
SEGMENT_BYTES = 64 * 2**20


def keep_image_memory() -> None:
    """Make the allocator of this process keep the memory of one image for the next.

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
    """Return the shipped Fast DDS profile for processes that exchange images."""
    return share_dir() / "config" / "fastdds.xml"


def udp_environment() -> dict[str, str]:
    """Return the environment variables with which Fast DDS uses no shared memory.

    For a process that must never be blocked: when a process is killed, those that send to it over shared
    memory can block for seconds (docs/faults.md).
    """
    name, config = _variable(), share_dir() / "config"
    is_local = os.environ.get(_DISCOVERY) == "LOCALHOST"
    if not is_local and os.environ.get(_LOCALHOST_ONLY) != "1":
        return {name: str(config / "fastdds_udp.xml")}
    # With LOCALHOST the ROS middleware adds shared memory to any profile.
    older = {_LOCALHOST_ONLY: "0"} if _LOCALHOST_ONLY in os.environ else {}
    return {name: str(config / "fastdds_udp_localhost.xml"), _DISCOVERY: "SYSTEM_DEFAULT", **older}


def use_udp_alone() -> None:
    """Apply ``udp_environment`` to this process, before ``rclpy.init``; network settings of the user stay."""
    is_fastdds = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps")
    if is_fastdds and not has_own_profile() and not any(map(os.environ.get, _OWN_NETWORK)):
        os.environ.update(udp_environment())


def has_own_profile() -> bool:
    """Return whether the user has set another Fast DDS profile than the shipped one for images."""
    profiles = {Path(os.environ[name]).resolve() for name in _PROFILE_VARIABLES if os.environ.get(name)}
    return not profiles <= {fastdds_profile().resolve()}


def remove_dead_segments() -> int:
    """Free the shared memory of Fast DDS processes that were killed; return the number of segments.

    A living process holds a lock on the file beside each of its segments.
    """
    removed = 0
    for lock_file in SHARED_MEMORY.glob("fast*_*_el"):
        segment = lock_file.with_name(lock_file.name.removesuffix("_el"))
        if not re.fullmatch(r"fast(dds|rtps)_[0-9a-f]{16}", segment.name):
            continue
        try:
            with lock_file.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                segment.unlink(missing_ok=True)
                lock_file.unlink(missing_ok=True)
                removed += 1
        except OSError:
            # In use, or another user's.
            continue
    return removed


def fastdds_environment(processes: int) -> dict[str, str]:
    """Return the environment variables with which ``processes`` processes use the shipped Fast DDS profile.

    Empty if the shared memory of this machine is too small for it, as in a container with the usual 64 MB.
    Then the profile would make Fast DDS use no shared memory at all, while its defaults still carry messages
    up to 512 KB. Segments that killed processes left there are removed first.
    """
    remove_dead_segments()
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free < processes * SEGMENT_BYTES:
        return {}
    return {_variable(): str(fastdds_profile())}


def _variable() -> str:
    """Return the name of the profile variable; Fast DDS 2 reads only the older, Fast DDS 3 warns of it."""
    return _PROFILE_VARIABLES[os.environ.get("ROS_DISTRO") in ("humble", "jazzy")]
