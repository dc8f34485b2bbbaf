"""``asyncvla doctor``: is this machine fit to run policy and controller, and the robot fit to be run?"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import typer

from asyncvla_ros.cli.programs import ProgramOutput, ask, python
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.common.options import checkpoint_option, option
from asyncvla_ros.paths import robot_file, shipped_checkpoint
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.robot.feature_file import load_features
from asyncvla_ros.robot.mismatches import mismatches
from asyncvla_ros.ros.middleware import (
    SEGMENT_BYTES,
    SHARED_MEMORY,
    fastdds_profile,
    has_own_profile,
    udp_environment,
)
from asyncvla_ros.types import CheckpointError

RELIABILITIES = ("best_effort", "reliable")
OK, WARNING, FAULT = "ok", "warning", "fault"
DISTRIBUTIONS = ("humble", "jazzy", "kilted")
PYTHON = (3, 10)
# Nodes that exchange images: camera drivers, policy, visualizer.
IMAGE_PROCESSES = 4
# Driver, controller, policy and cameras have one each then.
CORES = 4
# A few camera images [bytes].
RECEIVE_BYTES = 4 * 2**20
# A file of weights is larger than what Git LFS leaves in its place [bytes].
WEIGHTS_BYTES = 2**16
INSTALL = "docs/install-on-a-robot.md"
# What is tried in processes of their own: an import may end them, a priority may not be given back.
RCLPY = "import rclpy; print(rclpy.get_rmw_implementation_identifier())"
MESSAGES = "import asyncvla_msgs.msg, asyncvla_msgs.srv, asyncvla_msgs.action"
TORCH = """
import json, torch
name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
print(json.dumps([torch.__version__, name]))
"""
REAL_TIME = """
import json
from asyncvla_ros.ros.realtime import PRIORITY, take_realtime_priority
print(json.dumps([PRIORITY, take_realtime_priority(PRIORITY, lock_memory=True)]))
"""


@dataclass(frozen=True)
class Finding:
    """One line: ``ok``, ``warning`` (it runs, but not as well) or ``fault`` (it does not run)."""

    level: str
    subject: str
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class DoctorSettings:
    """What to examine.

    Attributes:
        checkpoint: Folder of the policy; None for the shipped one.
        robot: Contract of a running robot; None examines the machine alone.
        sensor_reliability: Reliability of subscriptions to cameras and state.
        wait_s: How long to listen to the robot (s).
    """

    checkpoint: Path | None = checkpoint_option()
    robot: str | None = option(None, "Look at the running robot, too: a name in config/robots or a .yaml.")
    sensor_reliability: str = option(
        "best_effort", "best_effort or reliable, as of the nodes.", choices=RELIABILITIES
    )
    wait_s: float = option(5.0, "How long to listen to the robot (s).", 0.5, flag="--wait")


@with_settings
def doctor(settings: DoctorSettings) -> None:
    """Check this machine, and with --robot a running one; exit code 1 after a fault."""
    levels = []
    findings = examine(settings.checkpoint or shipped_checkpoint())
    if settings.robot is not None:
        findings = chain(findings, examine_robot(settings.robot, settings))
    for finding in findings:
        print(f"{finding.level:8} {finding.subject:14} {finding.text}", flush=True)
        if finding.remedy:
            print(f"{'':8} {'':14} -> {finding.remedy}", flush=True)
        levels.append(finding.level)
    print(f"{levels.count(FAULT)} faults, {levels.count(WARNING)} warnings")
    if FAULT in levels:
        raise typer.Exit(1)


def examine(checkpoint: Path) -> Iterator[Finding]:
    """Examine everything that needs no robot."""
    yield python_version()
    rclpy = ask(python(RCLPY))
    yield ros(rclpy)
    yield messages(ask(python(MESSAGES)))
    if rclpy.is_good:
        yield from middleware(rclpy.text)
    yield from real_time(ask(python(REAL_TIME)))
    yield kernel(platform.version())
    yield from governor(Path("/sys/devices/system/cpu"))
    yield cores(len(os.sched_getaffinity(0)))
    yield gpu(ask(python(TORCH)))
    yield weights(checkpoint)
    yield clock(
        ask(["timedatectl", "show", "--property=NTPSynchronized", "--value"]), ask(["chronyc", "tracking"])
    )


def examine_robot(name: str, settings: DoctorSettings) -> Iterator[Finding]:
    """Compare what a running robot publishes and obeys with its contract.

    Args:
        name: Name or file of the contract, which has to fit the checkpoint if one is given.
        settings: How to listen.
    """
    contract = load_robot(robot_file(name))
    if settings.checkpoint is not None:
        problems = mismatches(contract, load_features(settings.checkpoint))
        text = "; ".join(problems) or f"{contract.name} and {settings.checkpoint.name} fit"
        yield Finding(FAULT if problems else OK, "contract", text)
    # rclpy takes its time, and a machine without it has been told so.
    from asyncvla_ros.ros.robot_survey import survey_robot

    for look in survey_robot(contract, settings.sensor_reliability, settings.wait_s):
        level = FAULT if look.is_fault else WARNING if look.is_doubtful else OK
        yield Finding(level, look.name, look.text)


def python_version() -> Finding:
    """Find out whether Python is new enough for the syntax."""
    version = platform.python_version()
    if sys.version_info < PYTHON:
        return Finding(FAULT, "Python", f"{version}, expected {'.'.join(map(str, PYTHON))} or later")
    return Finding(OK, "Python", version)


def ros(rclpy: ProgramOutput) -> Finding:
    """Find out whether ROS 2 is there, in a distribution that this package is tested with."""
    if not rclpy.is_good:
        remedy = (
            f"source /opt/ros/DISTRO/setup.bash; the environment needs --system-site-packages ({INSTALL})"
        )
        return Finding(FAULT, "ROS", f"rclpy cannot be used: {rclpy.text}", remedy)
    distribution = os.environ.get("ROS_DISTRO", "")
    if distribution and distribution not in DISTRIBUTIONS:
        return Finding(WARNING, "ROS", f"{distribution}; tried with {', '.join(DISTRIBUTIONS)}")
    return Finding(OK, "ROS", distribution or "rclpy found; ROS_DISTRO is not set")


def messages(found: ProgramOutput) -> Finding:
    """Find out whether asyncvla_msgs is built."""
    if found.is_good:
        return Finding(OK, "messages", "asyncvla_msgs is built")
    remedy = f"build the workspace and source install/setup.bash ({INSTALL}, step 3)"
    return Finding(FAULT, "messages", f"asyncvla_msgs cannot be imported: {found.text}", remedy)


def middleware(name: str, receive_file: Path = Path("/proc/sys/net/core/rmem_max")) -> Iterator[Finding]:
    """Find out whether camera images get through."""
    variable = next(iter(udp_environment()))
    profile = os.environ.get(variable, "")
    if not name.startswith("rmw_fastrtps"):
        yield Finding(OK, "middleware", f"{name}; measured and tried with rmw_fastrtps_cpp")
    elif not profile:
        text = f"{name} without a profile: images above 512 KB are mostly lost, unless a launch file sets it"
        yield Finding(
            WARNING, "middleware", text, f"export {variable}={fastdds_profile()}, camera drivers too"
        )
    elif not Path(profile).is_file():
        yield Finding(WARNING, "middleware", f"{variable} is {profile}, which is no file", "correct it")
    elif has_own_profile():
        yield Finding(OK, "middleware", f"{name} with a profile of your own, {profile}")
    else:
        free = shutil.disk_usage(SHARED_MEMORY).free // 2**20
        needed = IMAGE_PROCESSES * SEGMENT_BYTES // 2**20
        text = f"{name} with the shipped profile; {SHARED_MEMORY} has {free} MiB free, needs {needed}"
        remedy = "" if free >= needed else "in a container: --shm-size 2g or --ipc host"
        yield Finding(WARNING if remedy else OK, "middleware", text, remedy)
        return
    # Images travel by UDP then, if only to the fallback.
    if receive_file.is_file() and (size := int(receive_file.read_text())) < RECEIVE_BYTES:
        remedy = f"sudo sysctl -w net.core.rmem_max={4 * RECEIVE_BYTES}"
        yield Finding(
            WARNING, "UDP buffers", f"net.core.rmem_max is {size} bytes, less than an image", remedy
        )


def real_time(tried: ProgramOutput) -> Iterator[Finding]:
    """Find out whether the controller may have real-time priority and locked memory."""
    if not tried.is_good:
        yield Finding(WARNING, "real time", f"not tried: {tried.text}")
        return
    priority, refused = json.loads(tried.text)
    for text in refused:
        yield Finding(WARNING, "real time", text)
    if not refused:
        yield Finding(OK, "real time", f"priority {priority} and locked memory are granted")


def kernel(version: str) -> Finding:
    """Find out whether the kernel is a real-time kernel."""
    if "PREEMPT_RT" in version or "PREEMPT RT" in version:
        return Finding(OK, "kernel", f"real-time ({version})")
    text = f"not a real-time kernel ({version}): under load, commands are late by milliseconds now and then"
    return Finding(WARNING, "kernel", text, "Ubuntu: sudo pro enable realtime-kernel, or linux-lowlatency")


def governor(folder: Path) -> Iterator[Finding]:
    """Find out whether cores slow down between commands; yield nothing where it is unknown."""
    files = folder.glob("cpu[0-9]*/cpufreq/scaling_governor")
    found = sorted({file.read_text().strip() for file in files})
    if not found:
        return
    remedy = "" if found == ["performance"] else "sudo cpupower frequency-set -g performance"
    yield Finding(WARNING if remedy else OK, "CPU governor", ", ".join(found), remedy)


def cores(count: int) -> Finding:
    """Find out whether driver, controller, policy and cameras have a core each."""
    if count >= CORES:
        return Finding(OK, "cores", str(count))
    return Finding(WARNING, "cores", f"{count}, expected {CORES}: driver, controller and policy share them")


def gpu(torch: ProgramOutput) -> Finding:
    """Find out whether the policy runs here, and on what."""
    if not torch.is_good:
        text = f"torch cannot be imported ({torch.text}): the controller runs here, the policy does not"
        return Finding(WARNING, "GPU", text, f"{INSTALL}, step 2")
    version, name = json.loads(torch.text)
    if name:
        return Finding(OK, "GPU", f"{name}, torch {version}")
    if any(Path("/dev", name).exists() for name in ("nvidia0", "nvhost-gpu")):
        text = f"there is one, but torch {version} cannot use it"
        return Finding(WARNING, "GPU", text, f"install the torch wheel for this machine ({INSTALL}, step 2)")
    return Finding(OK, "GPU", f"none (torch {version}): the shipped policy runs on the CPU")


def weights(folder: Path) -> Finding:
    """Find out whether the checkpoint is complete."""
    try:
        features = load_features(folder)
    except CheckpointError as error:
        return Finding(FAULT, "checkpoint", str(error))
    file = folder / "model.safetensors"
    if not file.is_file() or file.stat().st_size < WEIGHTS_BYTES:
        return Finding(FAULT, "checkpoint", f"{file} holds no weights", "copy the folder again")
    return Finding(OK, "checkpoint", f"{folder.name}: {features.action_space} at {features.action_hz:g} Hz")


def clock(timedatectl: ProgramOutput, chronyc: ProgramOutput) -> Finding:
    """Find out whether the clock is synchronized, which stamps of other machines need."""
    matters = "matters if another machine stamps images or joint states"
    if timedatectl.text == "yes" or (chronyc.is_good and "Normal" in chronyc.text):
        return Finding(OK, "clock", "synchronized")
    if timedatectl.is_good or chronyc.is_good:
        return Finding(WARNING, "clock", f"not synchronized: {matters}", "sudo timedatectl set-ntp true")
    return Finding(OK, "clock", f"unknown, neither timedatectl nor chronyc answers: {matters}")
