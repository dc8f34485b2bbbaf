"""Whether drivers demand more than a contract permits, whatever the controller is sent."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import starmap
from typing import Any

from rich.console import Console
from rich.progress import Progress

from asyncvla_ros.bench.safety_arms import ARMS
from asyncvla_ros.bench.safety_audit import KINDS
from asyncvla_ros.bench.safety_contracts import GUARDED_URDF, MADE, contracts, guarded_links
from asyncvla_ros.bench.safety_planner import run_planner
from asyncvla_ros.bench.safety_robot import merged
from asyncvla_ros.bench.safety_world import AdversarialWorld, MakeController
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import AsyncVLAError

# Kinds of arms whose reports make no sense for a pose, or that are not kept in a box by commands alone.
NOT_FOR_POSES = ("sag", "moved_by_hand", "wraps")
NOT_FOR_GUARDS = ("sag", "moved_by_hand")
TOLERANCE = "what rounding stamps to 1 ns, float64 and float32 fields permits; see DriverAudit"


@dataclass(frozen=True)
class SafetyCase:
    """One contract, one kind of arm, and how many chunks they get."""

    robot: RobotContract
    arm: str
    chunks: int
    seed: int


def cases(chunks: int, seed: int, robots: Iterable[RobotContract]) -> list[SafetyCase]:
    """List every contract with every kind of arm that suits it, and equal shares of ``chunks``."""
    pairs = [
        (robot, arm)
        for robot in robots
        for arm in ARMS
        if not (robot.action_space == "ee_pose" and arm in NOT_FOR_POSES)
        and not (robot.guard is not None and arm in NOT_FOR_GUARDS)
    ]
    share, more = divmod(chunks, len(pairs))
    return [
        SafetyCase(robot, arm, share + (number < more), seed + number)
        for number, (robot, arm) in enumerate(pairs)
    ]


def bench_safety(
    chunks: int,
    seed: int,
    make_controller: MakeController = Controller,
    processes: int = 1,
    robots: Iterable[RobotContract] | None = None,
) -> dict[str, Any]:
    """Send adversarial chunks to every contract with every kind of arm.

    Args:
        chunks: Adversarial chunks in all, at least one for each pair.
        seed: Of everything random.
        make_controller: The controller to test.
        processes: At the same time.
        robots: Contracts; None: all, those that ship and those made for this.

    Returns:
        ``chunks``, ``commands``, ``violations`` by kind, ``exceptions``, ``seed``, ``tolerance``; under
        ``driver`` the metrics of each driver model, under ``arms`` those of each contract, and under
        ``planner`` what as many random goals made of the planner of each contract that ships.

    Raises:
        AsyncVLAError: If there are too few chunks.
    """
    robots = contracts() if robots is None else tuple(robots)
    plan = cases(chunks, seed, robots)
    if chunks < len(plan):
        raise AsyncVLAError(f"chunks is {chunks}, expected at least {len(plan)}: one for each arm")
    arms: dict[str, dict[str, Any]] = {}
    drivers: dict[str, dict[str, Any]] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Adversarial chunks", total=chunks)
        jobs = [(case, make_controller) for case in plan]
        for case, metrics in zip(plan, _run(run_case, jobs, processes), strict=True):
            progress.advance(task, case.chunks)
            for model, found in metrics.pop("driver").items():
                drivers[model] = merged(drivers.get(model), found)
            arms[case.robot.name] = _added(arms.get(case.robot.name), metrics)
        planned = [robot for robot in robots if robot.name not in MADE]
        task = progress.add_task("Random goals", total=len(planned))
        planner = {}
        goals = [(robot, chunks, seed) for robot in planned]
        for robot, metrics in zip(planned, _run(run_planner, goals, processes), strict=True):
            progress.advance(task)
            planner[robot.name] = metrics
    exceptions: Counter[str] = sum((Counter(arm["exceptions"]) for arm in arms.values()), Counter())
    exceptions["planner"] += sum(metrics["exceptions"] for metrics in planner.values())
    return {
        "chunks": chunks,
        "commands": sum(arm["commands"] for arm in arms.values()),
        "violations": {kind: sum(one["violations"][kind] for one in drivers.values()) for kind in KINDS},
        "exceptions": sum(exceptions.values()),
        "exception_texts": {text: count for text, count in exceptions.most_common(10) if count},
        "seed": seed,
        "tolerance": TOLERANCE,
        "driver": drivers,
        "arms": arms,
        "planner": planner,
    }


def _run(work: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], processes: int) -> Iterator[Any]:
    """Run ``work`` on each job's arguments and yield the results in order."""
    if processes == 1:
        yield from starmap(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        yield from pool.map(work, *zip(*jobs, strict=True))


def run_case(case: SafetyCase, make_controller: MakeController = Controller) -> dict[str, Any]:
    """Measure one contract with one kind of arm."""
    began, began_cpu = time.perf_counter(), time.process_time()
    is_guarded = case.robot.name == "guarded_arm"
    urdf, links = (GUARDED_URDF, guarded_links) if is_guarded else ("", None)
    world = AdversarialWorld(case.robot, case.seed, case.arm, make_controller, urdf=urdf, links=links)
    world.run(case.chunks, lambda done: None)
    driver = world.under_test.metrics()
    violations: Counter[str] = sum((Counter(one["violations"]) for one in driver.values()), Counter())
    return {
        "chunks": case.chunks,
        "accepted": world.accepted,
        "rejected": dict(world.rejections),
        "commands": world.under_test.commands,
        "restarts": world.restarts,
        "periods_by_mode": dict(world.modes),
        "violations": {kind: violations[kind] for kind in KINDS},
        "violations_by_arm": {case.arm: sum(violations.values())},
        "exceptions": dict(world.exceptions),
        "limit_stops": world.limit_stops,
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - began_cpu,
        "driver": driver,
    }


def _added(one: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    """Add up the metrics of two cases of one contract."""
    if one is None:
        return other
    return {
        key: {k: one[key].get(k, 0) + value.get(k, 0) for k in one[key] | value}
        if isinstance(value, dict)
        else one[key] + value
        for key, value in other.items()
    }


def is_clean(metrics: dict[str, Any]) -> bool:
    """Return whether there was neither a violation nor an exception."""
    return not any(metrics["violations"].values()) and not metrics["exceptions"]
