"""Each case in a process of its own: what is granted there stays there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Prints what the last expression of the body is.
CODE = """
import json, os, resource, subprocess, sys, threading
from asyncvla_ros.ros.realtime import PRIORITY, take_realtime_priority
{body}
"""
DROP_RIGHTS = """
for kind in (resource.RLIMIT_RTPRIO, resource.RLIMIT_MEMLOCK):
    resource.setrlimit(kind, (0, 0))
if os.geteuid() == 0:
    os.setuid(65534)
"""


def result(body: str):
    command = [sys.executable, "-c", CODE.format(body=body)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def granted(body: str):
    """Of a body that prints what was refused, and something more."""
    refused, rest = result(body)
    if refused:
        pytest.skip(refused[0])
    return rest


def test_what_is_refused_is_said_with_its_remedy():
    priority, memory = result(DROP_RIGHTS + "print(json.dumps(take_realtime_priority(40, lock_memory=True)))")
    assert "real-time priority 40 refused" in priority and "the limit, ulimit -r, is 0" in priority
    assert "'@realtime - rtprio 99'" in priority and "--cap-add SYS_NICE --ulimit rtprio=99" in priority
    assert "locked memory refused" in memory and "'@realtime - memlock unlimited'" in memory
    assert "log in again" in memory and "--ulimit memlock=-1" in memory


def test_nothing_asked_for_changes_nothing():
    body = (
        "refused = take_realtime_priority(0, lock_memory=False)\n"
        "print(json.dumps([refused, os.sched_getscheduler(0) == os.SCHED_OTHER]))"
    )
    assert result(DROP_RIGHTS + body) == [[], True]


def test_only_the_calling_thread_gets_the_priority():
    body = """
seen = []
def call():
    refused = take_realtime_priority(PRIORITY, lock_memory=False)
    mode = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    ask = "import os; print(os.sched_getscheduler(0))"
    child = int(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout)
    seen.extend([refused, [mode == os.SCHED_FIFO, os.sched_getparam(0).sched_priority == PRIORITY, child]])
thread = threading.Thread(target=call)
thread.start()
thread.join()
seen[1].append(os.sched_getscheduler(0))
print(json.dumps(seen))
"""
    assert granted(body) == [True, True, 0, 0]


def test_memory_is_locked_and_what_comes_later_too():
    body = """
def locked():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmLck")).split()[1])
refused = take_realtime_priority(0, lock_memory=True)
before = locked()
later = bytearray(32 * 2**20)
print(json.dumps([refused, [before > 0, locked() - before >= 32 * 1024]]))
"""
    assert granted(body) == [True, True]
