"""How often the scripted expert, which makes the demonstrations, solves a task from random placements."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import asdict
from typing import Any

import numpy as np

from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.common.worker_pool import worker_pool
from asyncvla_ros.sim.evaluation.expert_settings import ExpertSettings
from asyncvla_ros.sim.evaluation.stats import wilson_interval
from asyncvla_ros.sim.expert.demonstrator import Expert
from asyncvla_ros.sim.expert.disturbance import DEFAULT_NOISE, Disturbance
from asyncvla_ros.sim.libero.env import LiberoEnv
from asyncvla_ros.sim.libero.tasks import max_steps


def evaluate_expert(
    settings: ExpertSettings, on_task: Callable[[int, dict[str, Any]], None]
) -> dict[str, Any]:
    """Let the expert act in every task.

    Args:
        settings: what to measure.
        on_task: called after each task with its index and metrics.

    Returns:
        JSON-ready: per_task {successes, n, ci95, mean_steps of the successes}, versions, settings, machine.
    """
    per_task = {}
    with worker_pool(min(settings.workers, len(settings.tasks))) as pool:
        futures = {pool.submit(_run_task, settings, task): task for task in settings.tasks}
        for future in as_completed(futures):
            task, steps = futures[future], [count for count in future.result() if count]
            per_task[task] = {
                "successes": len(steps),
                "n": settings.episodes,
                "ci95": list(wilson_interval(len(steps), settings.episodes)),
                "mean_steps": float(np.mean(steps)) if steps else None,
            }
            on_task(task, per_task[task])
    return {
        "expert_suite": settings.suite,
        "per_task": {str(task): per_task[task] for task in settings.tasks},
        **provenance(),
        "settings": asdict(settings),
    }


def _run_task(settings: ExpertSettings, task: int) -> list[int]:
    """Run a task; return the control steps of each episode, 0 where the expert failed."""
    with LiberoEnv(settings.suite, task, "off") as env:
        return [_run_episode(env, settings, task, episode) for episode in range(settings.episodes)]


def _run_episode(env: LiberoEnv, settings: ExpertSettings, task: int, episode: int) -> int:
    rng = np.random.default_rng((settings.seed, task, episode))
    env.reset(int(rng.integers(2**31)), settings.placement)
    expert, disturbance = Expert(env.scene), Disturbance(DEFAULT_NOISE, rng)
    for step in range(max_steps(settings.suite)):
        action = expert.act()
        env.step(disturbance.apply(action, expert.phase) if settings.disturbed else action)
        if env.success:
            return step + 1
    return 0
