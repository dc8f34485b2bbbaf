"""Measure a policy in LIBERO: from official initial states, or random placements, for choices."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncvla_ros.common.noise_seed import noise_seed
from asyncvla_ros.common.worker_pool import worker_pool
from asyncvla_ros.sim.evaluation.episode import run_episode
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings, summarize
from asyncvla_ros.sim.evaluation.worlds import require_world
from asyncvla_ros.sim.libero.env import LiberoEnv
from asyncvla_ros.sim.libero.tasks import get_task, load_init_states
from asyncvla_ros.types import AsyncVLAError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy

_POLL_S = 0.5
#: Beyond any inference's number: random placements have random numbers of their own.
_PLACEMENT = 2**31


def evaluate(
    load_policy: Callable[[], Policy],
    settings: EvalSettings,
    on_episode: Callable[[EpisodeResult], None] | None = None,
    done: tuple[EpisodeResult, ...] = (),
) -> dict[str, Any]:
    """Run all episodes and summarize them.

    Args:
        load_policy: makes the policy; must be picklable when ``settings.workers > 1``, for instance
            ``functools.partial(Policy.from_checkpoint, path)``.
        settings: what to measure.
        on_episode: called after each new episode, in this process.
        done: episodes that are finished already and are not run again.

    Returns:
        JSON-ready: episodes, success_rate, n, ci95, inference_ms, refined_fraction, versions, settings,
        machine.

    Raises:
        AsyncVLAError: unknown suite, task or initial state.
    """
    report = on_episode or (lambda episode: None)
    units = _work_units(settings, {(episode.task, episode.init) for episode in done})
    workers = min(settings.workers, len(units))
    if not units:
        episodes: list[EpisodeResult] = []
    elif workers == 1:
        policy = load_policy()
        policy.warmup()
        episodes = []
        for task, inits in units:
            for episode in run_task(policy, settings, task, inits):
                report(episode)
                episodes.append(episode)
    else:
        episodes = _run_parallel(load_policy, settings, units, workers, report=report)
    episodes += done
    episodes.sort(key=lambda episode: (episode.task, episode.init))
    return summarize(episodes, settings)


def run_task(
    policy: Policy, settings: EvalSettings, task: int, inits: tuple[int, ...]
) -> Iterator[EpisodeResult]:
    """Evaluate one task, an episode per initial state."""
    with LiberoEnv(settings.suite, task, settings.render) as env:
        for init in inits:
            if settings.random_placements:
                widened = settings.placement == "official" and settings.displace_m > 0
                kind = "widened" if widened else settings.placement
                env.reset(noise_seed(settings.seed, task, init, _PLACEMENT), kind, settings.displace_m)
            else:
                env.reset_to_init(init, displace_m=settings.displace_m, seed=settings.seed)
            yield run_episode(policy, env, settings, init)


def _work_units(settings: EvalSettings, done: set[tuple[int, int]]) -> list[tuple[int, tuple[int, ...]]]:
    """List (task, initial states) to run as one, at least one per worker where there are enough episodes."""
    if not settings.tasks or not settings.inits:
        raise AsyncVLAError("expected at least one task and one initial state")
    require_world(settings.world, tuple(get_task(settings.suite, task) for task in settings.tasks))
    for task in settings.tasks:
        chosen = get_task(settings.suite, task)
        if settings.random_placements:
            continue
        available = len(load_init_states(chosen))
        if not all(0 <= init < available for init in settings.inits):
            raise AsyncVLAError(
                f"{settings.suite} task {task} has initial states 0 to {available - 1}, "
                f"got {list(settings.inits)}"
            )
    missing = [episode for episode in settings.episodes if episode not in done]
    left = {task: [i for t, i in missing if t == task] for task in settings.tasks}
    pieces = -(-settings.workers // max(1, sum(map(bool, left.values()))))
    return [
        (task, tuple(int(init) for init in piece))
        for task, inits in left.items()
        for piece in np.array_split(inits, pieces)
        if len(piece)
    ]


def _run_parallel(
    load_policy: Callable[[], Policy],
    settings: EvalSettings,
    units: list[tuple[int, tuple[int, ...]]],
    workers: int,
    report: Callable[[EpisodeResult], None],
) -> list[EpisodeResult]:
    results: multiprocessing.Queue[EpisodeResult] = multiprocessing.get_context("spawn").Queue()
    episodes: list[EpisodeResult] = []
    total = sum(len(inits) for _, inits in units)
    with worker_pool(workers, _start_worker, (load_policy, settings, results)) as pool:
        futures = [pool.submit(_run_unit, task, inits) for task, inits in units]
        failed = None
        while len(episodes) < total:
            try:
                episodes.append(results.get(timeout=_POLL_S))
                report(episodes[-1])
            except queue.Empty:
                ended = [future for future in futures if future.done() and not future.cancelled()]
                failed = failed or next((future for future in ended if future.exception()), None)
                # What the others have begun is finished and kept.
                if failed and all([future.done() or future.cancel() for future in futures]):
                    failed.result()
    return episodes


_worker: dict[str, Any] = {}


def _start_worker(
    load_policy: Callable[[], Policy],
    settings: EvalSettings,
    results: multiprocessing.Queue[EpisodeResult],
) -> None:
    _worker.update(load=load_policy, settings=settings, results=results)


def _run_unit(task: int, inits: tuple[int, ...]) -> None:
    # Not when the worker starts: what goes wrong there cannot be told to the user.
    if "policy" not in _worker:
        policy = _worker["load"]()
        policy.warmup()
        _worker["policy"] = policy
    for episode in run_task(_worker["policy"], _worker["settings"], task, inits):
        _worker["results"].put(episode)
