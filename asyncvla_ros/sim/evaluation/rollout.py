"""Measure a policy in LIBERO, in lockstep: the world waits for each decision.

From official initial states (or random placements, for choices), at every decision instant the world is
rendered, with the official meshes unless told otherwise, the policy answers a chunk, and the first
``execute_steps`` actions of it are executed.
"""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncvla_ros.common.worker_pool import worker_pool
from asyncvla_ros.sim.evaluation.consistency import commanded_jerk
from asyncvla_ros.sim.evaluation.results import Episode, EvalConfig, summarise
from asyncvla_ros.sim.evaluation.video import side_by_side, write_video
from asyncvla_ros.sim.expert.motion import POSITION_UNIT_M
from asyncvla_ros.sim.libero.env import CONTROL_HZ, LiberoEnv
from asyncvla_ros.sim.libero.tasks import get_task, list_tasks, load_init_states, max_steps
from asyncvla_ros.types import AsyncVLAError, Observation

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy

_POLL_S = 0.5
#: Beyond any decision's number: random placements have random numbers of their own.
_PLACEMENT = 2**31


def evaluate(
    load_policy: Callable[[], Policy],
    config: EvalConfig,
    on_episode: Callable[[Episode], None] | None = None,
    done: tuple[Episode, ...] = (),
) -> dict[str, Any]:
    """Run all episodes and summarise them.

    Args:
        load_policy: makes the policy; must be picklable when ``config.workers > 1``, for instance
            ``functools.partial(Policy.from_checkpoint, path)``.
        config: what to measure.
        on_episode: called after each new episode, in this process.
        done: episodes that are finished already and are not run again.

    Returns:
        JSON-ready: episodes, success_rate, n, ci95, tick_ms, refined_fraction, versions, settings, machine.

    Raises:
        AsyncVLAError: unknown suite, task or initial state.
    """
    report = on_episode or (lambda episode: None)
    units = _work_units(config, {(episode.task, episode.init) for episode in done})
    workers = min(config.workers, len(units))
    if not units:
        episodes: list[Episode] = []
    elif workers == 1:
        policy = load_policy()
        policy.warmup()
        episodes = []
        for task, inits in units:
            for episode in run_task(policy, config, task, inits):
                report(episode)
                episodes.append(episode)
    else:
        episodes = _run_parallel(load_policy, config, units, workers, report)
    episodes += done
    episodes.sort(key=lambda episode: (episode.task, episode.init))
    return summarise(episodes, config)


def run_task(policy: Policy, config: EvalConfig, task: int, inits: tuple[int, ...]) -> Iterator[Episode]:
    """Evaluate one task, an episode per initial state."""
    with LiberoEnv(config.suite, task, config.render) as env:
        for init in inits:
            if config.random_placements:
                env.reset(decision_seed(config.seed, task, init, _PLACEMENT), config.displace_m)
            else:
                env.reset_to_init(init, displace_m=config.displace_m, seed=config.seed)
            yield run_episode(policy, env, config, init)


def run_episode(policy: Policy, env: LiberoEnv, config: EvalConfig, init: int) -> Episode:
    """Let the policy act from the environment's current state until success or the suite's step limit."""
    limit, task = max_steps(config.suite), env.task.index
    execute = policy.execute_steps if config.execute_steps is None else config.execute_steps
    if not 1 <= execute <= policy.chunk_size:
        raise AsyncVLAError(
            f"execute_steps is {execute}, expected 1 to {policy.chunk_size}, the actions of a chunk"
        )
    ticks: list[float] = []
    judging: list[float] = []
    refined: list[float] = []
    confidence: list[float] = []
    frames: list[np.ndarray] = []
    executed: list[np.ndarray] = []
    origin: list[int] = []
    instruction = _instruction(env, config)
    steps, success = 0, env.success
    while steps < limit and not success:
        observation = env.observe(conventions=config.conventions)
        if config.video_dir is not None:
            # For people, who want it upright, and for the codec, which wants even sizes.
            frames.append(side_by_side(env.observe()))
        seed = decision_seed(config.seed, task, init, len(ticks))
        chunk = policy.infer(_seen(observation, instruction, config), config.strategy, seed=seed)
        ticks.append(chunk.times.total)
        judging.append(chunk.times.rater + chunk.times.afm)
        refined.append(float(np.mean(chunk.refined)))
        if chunk.confidence is not None:
            confidence.append(float(np.mean(chunk.confidence)))
        # One control step each, whatever rate the data say: those of 10 Hz hold the frames of those of 20 Hz.
        for action in config.conventions.env_actions(chunk.actions)[: min(execute, limit - steps)]:
            env.step(action)
            executed.append(np.clip(action, -1, 1))
            origin.append(len(ticks))
            steps += 1
            success = env.success
            if success:
                break
    if config.video_dir is not None and frames:
        frames.append(side_by_side(env.observe()))
        name = f"{config.suite}_task{task:02d}_init{init:02d}_{'success' if success else 'failure'}.mp4"
        write_video(config.video_dir / name, frames, fps=CONTROL_HZ / execute)
    inside, seam = commanded_jerk(np.array(executed), origin, POSITION_UNIT_M, CONTROL_HZ)
    return Episode(
        task=task,
        init=init,
        success=success,
        steps=steps,
        tick_ms=tuple(ticks),
        refined=float(np.mean(refined)) if refined else 0.0,
        confidence=float(np.mean(confidence)) if confidence else None,
        jerk_inside=inside,
        jerk_seam=seam,
        judging_ms=float(np.mean(judging)) if judging else None,
    )


def decision_seed(seed: int, task: int, init: int, decision: int) -> int:
    """Noise seed of one decision, independent of which process or order it runs in."""
    return int(np.random.SeedSequence((seed, task, init, decision)).generate_state(1)[0])


def _instruction(env: LiberoEnv, config: EvalConfig) -> str:
    if not config.wrong_instruction:
        return env.instruction
    tasks = list_tasks(config.suite)
    return tasks[(env.task.index + 1) % len(tasks)].instruction


def _seen(observation: Observation, instruction: str, config: EvalConfig) -> Observation:
    images = observation.images
    if config.blank_images:
        images = {key: np.zeros_like(image) for key, image in images.items()}
    return Observation(images, observation.state, instruction, observation.stamp_ns)


def _work_units(config: EvalConfig, done: set[tuple[int, int]]) -> list[tuple[int, tuple[int, ...]]]:
    """(task, initial states) still to run as one, at least one per worker where there are enough episodes."""
    if not config.tasks or not config.inits:
        raise AsyncVLAError("expected at least one task and one initial state")
    for task in config.tasks:
        chosen = get_task(config.suite, task)
        if config.random_placements:
            continue
        available = len(load_init_states(chosen))
        if not all(0 <= init < available for init in config.inits):
            raise AsyncVLAError(
                f"{config.suite} task {task} has initial states 0 to {available - 1}, "
                f"got {list(config.inits)}"
            )
    missing = [episode for episode in config.episodes if episode not in done]
    left = {task: [i for t, i in missing if t == task] for task in config.tasks}
    pieces = -(-config.workers // max(1, sum(map(bool, left.values()))))
    return [
        (task, tuple(int(init) for init in piece))
        for task, inits in left.items()
        for piece in np.array_split(inits, pieces)
        if len(piece)
    ]


def _run_parallel(
    load_policy: Callable[[], Policy],
    config: EvalConfig,
    units: list[tuple[int, tuple[int, ...]]],
    workers: int,
    report: Callable[[Episode], None],
) -> list[Episode]:
    results: multiprocessing.Queue[Episode] = multiprocessing.get_context("spawn").Queue()
    episodes: list[Episode] = []
    total = sum(len(inits) for _, inits in units)
    with worker_pool(workers, _start_worker, (load_policy, config, results)) as pool:
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
    config: EvalConfig,
    results: multiprocessing.Queue[Episode],
) -> None:
    _worker.update(load=load_policy, config=config, results=results)


def _run_unit(task: int, inits: tuple[int, ...]) -> None:
    # Not when the worker starts: what goes wrong there cannot be told to the user.
    if "policy" not in _worker:
        policy = _worker["load"]()
        policy.warmup()
        _worker["policy"] = policy
    for episode in run_task(_worker["policy"], _worker["config"], task, inits):
        _worker["results"].put(episode)
