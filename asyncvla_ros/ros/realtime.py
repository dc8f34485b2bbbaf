"""Real-time priority and locked memory for the thread that must not be late."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

# Below the 50 of ros2_control's own loop: the driver of the arm goes first.
PRIORITY = 40
# Of <sys/mman.h>, on x86-64 and arm64.
_MCL_CURRENT, _MCL_FUTURE = 1, 2
# Bit of CAP_IPC_LOCK in the capabilities of /proc.
_CAP_IPC_LOCK = 1 << 14
_LIMITS = "/etc/security/limits.d/99-realtime.conf"
_JOIN = "sudo groupadd --force realtime && sudo usermod -aG realtime $USER, then log in again"


def take_realtime_priority(priority: int, *, lock_memory: bool) -> list[str]:
    """Give the calling thread real-time priority and lock the memory of this process.

    Call it in the thread that must not be late. In an rclpy process that is the thread that spins the
    executor and so runs the timers: call it in a callback. Threads and processes that it starts later do not
    inherit the priority. The threads of the middleware keep their own: a timer does not depend on them.

    A thread with this priority (SCHED_FIFO) runs until it waits. One that never waits, such as a busy loop,
    takes its core from everything else, even from the shell that would end it: Linux leaves the others 5 % of
    the time (kernel.sched_rt_runtime_us). Python's global lock ignores priorities: this thread may wait for
    one that holds the lock and that the scheduler has set aside. So no other thread of such a process should
    compute in Python.

    Args:
        priority: 1 (lowest) to 99 of SCHED_FIFO; 0: leave it as it is.
        lock_memory: Also lock the memory of the whole process, now and later. All of it is resident then,
            8 MiB for the stack of each thread included.

    Returns:
        A sentence for each request that was refused, with the remedy; empty if all were granted.
    """
    refused = []
    if priority:
        refused += _take_priority(priority)
    if lock_memory:
        refused += _lock_memory()
    return refused


def _take_priority(priority: int) -> list[str]:
    if sys.platform != "linux":
        return [f"no real-time priority: {sys.platform} is not Linux"]
    try:
        mode = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, mode, os.sched_param(priority))
    except OSError as error:
        limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        return [
            f"real-time priority {priority} refused ({error.strerror}; the limit, ulimit -r, is "
            f"{_text(limit)}): write '@realtime - rtprio 99' to {_LIMITS}, {_JOIN}; "
            "in a container: --cap-add SYS_NICE --ulimit rtprio=99"
        ]
    return []


def _lock_memory() -> list[str]:
    if sys.platform != "linux":
        return [f"memory not locked: {sys.platform} is not Linux"]
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    # Under a limit the lock could succeed now and a later allocation fail.
    if limit == resource.RLIM_INFINITY or _may_lock_any():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) == 0:
            return []
        cause = f"{os.strerror(ctypes.get_errno())}; "
    else:
        cause = ""
    return [
        f"locked memory refused ({cause}the limit, ulimit -l, is {_text(limit, 1024)} KiB, expected "
        f"unlimited): write '@realtime - memlock unlimited' to {_LIMITS}, {_JOIN}; "
        "in a container: --ulimit memlock=-1"
    ]


def _may_lock_any() -> bool:
    """Return whether this process has the capability CAP_IPC_LOCK, which lifts the limit."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    capabilities = next((line for line in status.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(capabilities.split()[1], 16) & _CAP_IPC_LOCK)


def _text(limit: int, unit: int = 1) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit // unit)
