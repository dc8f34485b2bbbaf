"""Whether the controller core keeps its limits whatever it is sent: hostile chunks by the million."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import Progress

from asyncvla_ros.bench.safety_audit import DERIVATIVES, KINDS, TOLERANCE
from asyncvla_ros.bench.safety_world import HostileWorld
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import parse_robot
from asyncvla_ros.types import AsyncVLAError

# Minimum and maximum [rad], velocity [rad/s], acceleration [rad/s²], jerk [rad/s³] of a 7-joint arm.
ARM = (
    (-2.7437, 2.7437, 2.62, 10.0, 5000.0),
    (-1.7837, 1.7837, 2.62, 10.0, 5000.0),
    (-2.9007, 2.9007, 2.62, 10.0, 2000.0),
    (-3.0421, -0.1518, 2.62, 10.0, 500.0),
    (-2.8065, 2.8065, 5.26, 15.0, 500.0),
    (0.5445, 4.5169, 4.18, 15.0, 1000.0),
    (-3.0159, 3.0159, 5.26, 20.0, 5000.0),
)
UNMEASURED = "unmeasured_gripper"


def joint_arm() -> RobotContract:
    """Seven joints and two grippers, one unmeasured, as targets: actions at 20 Hz, commands at 100 Hz."""
    dofs: list[dict[str, Any]] = []
    for number, (low, high, velocity, acceleration, jerk) in enumerate(ARM, start=1):
        limits = {"position": [low, high], "velocity": velocity, "acceleration": acceleration, "jerk": jerk}
        dofs.append({"name": f"joint{number}", "unit": "rad", "scale": 1.0, "limits": limits})
    grip = {"unit": "m", "scale": 1.0, "limits": {"position": [0.0, 0.08], "velocity": 0.2}}
    dofs += [{"name": name, **grip, "hold": "commanded"} for name in ("gripper", UNMEASURED)]
    return _contract("joint_arm", "joint_position", dofs, command_hz=100.0, ramp_s=0.5)


def delta_arm() -> RobotContract:
    """Changes of the end effector at 20 Hz: limited as rates, by a workspace, by both or neither."""
    box, rates = [-0.2, 0.2], {"velocity": 0.5, "acceleration": 2.0, "jerk": 40.0}
    dofs: list[dict[str, Any]] = []
    for name, limits in (
        ("x", {"workspace": {"state": "ee_x", "range": box}}),
        ("y", {"workspace": {"state": "ee_y", "range": box}, **rates}),
        ("z", {"workspace": {"state": "ee_z", "range": box}, "velocity": 0.3}),
    ):
        dofs.append(
            {"name": f"d{name}", "unit": "m", "scale": 0.05, "limits": {"step": [-0.05, 0.05], **limits}}
        )
    turn: dict[str, Any] = {"step": [-0.5, 0.5]}
    dofs.append({"name": "rx", "unit": "rad", "scale": 0.5, "limits": turn})
    dofs.append(
        {"name": "rz", "unit": "rad", "scale": 0.5, "limits": turn | {"velocity": 4.0, "acceleration": 20.0}}
    )
    dofs.append(
        {
            "name": "gripper",
            "unit": "normalized",
            "scale": 1.0,
            "limits": {"position": [-1.0, 1.0], "velocity": 4.0, "acceleration": 40.0},
        }
    )
    return _contract("delta_arm", "delta_ee_pose", dofs)


def _contract(name: str, space: str, dofs: list[dict[str, Any]], **rates: float) -> RobotContract:
    measured = [dof for dof in dofs if dof["name"] != UNMEASURED]
    states = [dof["limits"].get("workspace", {}).get("state", dof["name"]) for dof in measured]
    data = {
        "name": name,
        "control_hz": 20.0,
        "base_frame": "base",
        "cameras": [{"key": "front", "topic": "front/image_raw", "transport": "raw"}],
        "state": [{"type": "JointState", "topic": "joint_states", "joints": states, "names": states}],
        "action": {"space": space, "dofs": dofs},
        "outputs": [{"adapter": "action_command", "topic": "~/command"}],
        "timeouts": {"chunk_s": 0.5, "observation_s": 0.2},
        **rates,
    }
    return parse_robot(data, name)


def bench_safety(
    chunks: int,
    seed: int,
    make_controller: Callable[[RobotContract], Controller] = Controller,
) -> dict[str, Any]:
    """Half of the chunks to an arm commanded by joint targets, half to one commanded by changes.

    Args:
        chunks: Hostile chunks, at least 2.
        seed: Of everything random.
        make_controller: The controller to test.

    Returns:
        ``chunks``, ``commands``, ``violations`` by kind, ``exceptions``, ``seed``, ``tolerance``, and the
        figures of each arm under ``arms``.

    Raises:
        AsyncVLAError: If there are fewer than 2 chunks.
    """
    if chunks < 2:
        raise AsyncVLAError(f"chunks is {chunks}, expected at least 2")
    arms: dict[str, dict[str, Any]] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Hostile chunks", total=chunks)
        for number, robot in enumerate((joint_arm(), delta_arm())):
            world = HostileWorld(robot, seed + number, make_controller)
            count = chunks - chunks // 2 if number == 0 else chunks // 2
            began, began_cpu = time.perf_counter(), time.process_time()
            world.run(count, lambda done: progress.advance(task, done))
            times = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - began_cpu}
            arms[robot.name] = _figures(world, count) | {name: round(s, 1) for name, s in times.items()}
    exceptions: Counter[str] = sum((Counter(arm["exceptions"]) for arm in arms.values()), Counter())
    return {
        "chunks": chunks,
        "commands": sum(arm["commands"] for arm in arms.values()),
        "violations": {kind: sum(arm["violations"][kind] for arm in arms.values()) for kind in KINDS},
        "exceptions": sum(exceptions.values()),
        "exception_texts": dict(exceptions.most_common(10)),
        "seed": seed,
        "tolerance": TOLERANCE,
        "arms": arms,
    }


def _figures(world: HostileWorld, chunks: int) -> dict[str, Any]:
    return {
        "chunks": chunks,
        "accepted": world.accepted,
        "rejected": dict(world.rejections.most_common()),
        "commands": world.audit.commands,
        "restarts": world.restarts,
        "periods_by_mode": dict(world.modes.most_common()),
        "violations": world.audit.violations,
        "largest_share_of_limit": {name: round(world.audit.peaks[name], 6) for name in DERIVATIVES},
        "exceptions": dict(world.exceptions),
    }


def is_clean(figures: dict[str, Any]) -> bool:
    """Whether there was neither a violation nor an exception."""
    return not any(figures["violations"].values()) and not figures["exceptions"]
