"""Collect demonstrations of the scripted expert as LeRobot datasets.

Each part (some episodes of one task) is a LeRobot dataset of its own. Parts are worked off round-robin over
the tasks, so a partial collection is balanced, and a finished part is never touched again, so a rerun
continues where the last one stopped. A part depends on nothing but its settings, so several machines can
collect into one folder, each its shard of the parts.

The executed action is the expert's plus correlated noise, random kicks and now and then an opened gripper;
the action to learn is the expert's own answer to the state this led to. Both are stored: what was executed is
what a policy will be told of actions that are on their way while it thinks. With a learner (DAgger, arXiv
1011.0686) a policy drives first, for a random part of the episode, and the expert takes over and finishes:

    action.executed   policy policy policy ... policy | expert + noise ... expert + noise
    action            expert expert expert ... expert | expert         ... expert
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asyncvla_ros.common.same_settings import fixed_settings, require_same_settings
from asyncvla_ros.common.shard import WHOLE, Shard
from asyncvla_ros.common.sole_writer import sole_writer
from asyncvla_ros.common.worker_pool import worker_pool
from asyncvla_ros.data.lerobot_writer import PRIVILEGED_NAMES, DatasetWriter, dataset_features
from asyncvla_ros.sim.expert.demonstrator import Expert
from asyncvla_ros.sim.expert.disturbance import DEFAULT_NOISE, Disturbance, NoiseConfig
from asyncvla_ros.sim.expert.grip import MOST_STYLES
from asyncvla_ros.sim.libero.conventions import ACTION_NAMES, OWN, STATE_NAMES
from asyncvla_ros.sim.libero.env import CONTROL_HZ, LiberoEnv
from asyncvla_ros.sim.libero.placement import PLACEMENTS
from asyncvla_ros.sim.libero.tasks import get_task, max_steps
from asyncvla_ros.sim.views import look_around
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError, RunError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy

log = logging.getLogger(__name__)
_ATTEMPTS = 20
#: Episodes of one dataset: views take a hundredth of the time of demonstrations.
EPISODES_PER_PART, VIEWS_PER_PART = 10, 200
#: What may differ between a collection and its continuation.
_FREE = ("tasks", "episodes_per_task", "out", "workers", "shard")
#: What older versions called a setting.
_RENAMED = {"episodes_per_shard": "episodes_per_part"}
#: Part of the step limit after which the expert takes over from a learner: room enough to finish.
_LEARNER_SHARE = (0.1, 0.55)
#: A policy that has seen things in their usual places alone looks for them there and nowhere else.
DEFAULT_PLACEMENTS = (("official", 0.2), ("widened", 0.2), ("exchanged", 0.2), ("free", 0.4))


@dataclass(frozen=True)
class CollectConfig:
    """What to collect and where.

    Attributes:
        suite: LIBERO suite.
        tasks: task indices.
        episodes_per_task: demonstrations to keep per task.
        out: folder in which each part becomes a dataset.
        seed: determines every placement and disturbance.
        placements: kinds of placement (see ``libero.placement``), each with its share of the episodes.
        views: 0: demonstrations; else so many single views of each scene, see ``sim.views``, each an episode.
        styles: ways to hold a bowl, of which each episode shows one, drawn at random and stored; 1: the best.
        episodes_per_part: episodes of one dataset.
        workers: processes.
        rendering: of meshes, ``decimated`` or ``full``, which on a CPU takes four times as long.
        learner: checkpoint of the policy that drives first; None: the expert alone.
        shard: which of the parts; the others are collected elsewhere.
    """

    suite: str
    tasks: tuple[int, ...]
    episodes_per_task: int
    out: Path
    seed: int = 0
    placements: tuple[tuple[str, float], ...] = DEFAULT_PLACEMENTS
    views: int = 0
    styles: int = 1
    episodes_per_part: int = EPISODES_PER_PART
    workers: int = 2
    rendering: str = "decimated"
    learner: Path | None = None
    noise: NoiseConfig = DEFAULT_NOISE
    shard: Shard = WHOLE

    def __post_init__(self) -> None:
        if unknown := [kind for kind, _ in self.placements if kind not in PLACEMENTS]:
            raise AsyncVLAError(f"placement is {unknown[0]!r}, choose of {PLACEMENTS}")
        shares = [share for _, share in self.placements]
        if not shares or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise AsyncVLAError(f"placements have the shares {shares}, expected shares that add up to 1")
        if not 1 <= self.styles <= MOST_STYLES:
            raise AsyncVLAError(f"styles is {self.styles}, expected 1 to {MOST_STYLES}")
        if self.views < 0 or (self.views and (self.learner or self.styles > 1)):
            raise AsyncVLAError(
                f"views is {self.views} with the learner {self.learner} and {self.styles} styles, "
                "expected 0, or a number of views of each scene with neither: nobody drives in a view"
            )


@dataclass(frozen=True)
class Part:
    """Episodes ``first`` to ``first + count - 1`` of one task."""

    task: int
    first: int
    count: int

    @property
    def name(self) -> str:
        return f"task{self.task:02d}_{self.first:04d}"


@dataclass(frozen=True)
class PartReport:
    """What collecting a part took; ``wall_s`` in seconds."""

    part: Part
    episodes: int
    attempts: int
    frames: int
    wall_s: float


def plan_parts(config: CollectConfig) -> tuple[Part, ...]:
    """The parts of a collection that are of its shard, round-robin over the tasks."""
    if config.episodes_per_task < 1 or config.episodes_per_part < 1:
        raise AsyncVLAError(
            f"expected at least one episode per task and part, got {config.episodes_per_task} "
            f"and {config.episodes_per_part}"
        )
    parts = [
        Part(task, first, min(config.episodes_per_part, config.episodes_per_task - first))
        for first in range(0, config.episodes_per_task, config.episodes_per_part)
        for task in config.tasks
    ]
    return config.shard.take(parts, f"datasets of {config.episodes_per_part} episodes of one task")


def collect(config: CollectConfig, on_part: Callable[[PartReport, int, int], None] | None = None) -> None:
    """Collect what is still missing of a collection.

    Args:
        config: the collection.
        on_part: called after every part with its report, the parts done and the parts planned.

    Raises:
        AsyncVLAError: unknown suite or task, or another collection into or in the same folder.
        RunError: the expert fails again and again, after all other parts.
    """
    for task in config.tasks:
        get_task(config.suite, task)
    parts = plan_parts(config)
    missing = [part for part in parts if not (config.out / part.name).exists()]
    done = len(parts) - len(missing)
    lock = ".lock" if config.shard == WHOLE else f".lock_{config.shard.index}_of_{config.shard.count}"
    with sole_writer(config.out / lock, f"a collection into {config.out}"):
        _require_same_collection(config)
        for part in parts:
            _require_count(config.out / part.name, part.count)
        if not missing:
            return
        with worker_pool(min(config.workers, len(missing))) as pool:
            futures = [pool.submit(collect_part, config, part) for part in missing]
            failed: BaseException | None = None
            for future in as_completed(futures):
                if error := future.exception():
                    # What can be collected is, first.
                    failed = failed or error
                    continue
                done += 1
                if on_part is not None:
                    on_part(future.result(), done, len(parts))
            if failed:
                raise failed


def _require_same_collection(config: CollectConfig) -> None:
    """Datasets of different collections in one folder would pass for one."""
    now = fixed_settings(asdict(config), _FREE)
    if config.learner is not None:
        from asyncvla_ros.model.checkpoint import fingerprint

        now["learner"] = fingerprint(config.learner)
    file = config.out / "collection.json"
    if not file.is_file():
        # Whole or not at all: another shard may read it at the same time.
        partial = config.out / f".collection.{socket.gethostname()}.{os.getpid()}.partial"
        partial.write_text(json.dumps(now, indent=1) + "\n")
        partial.replace(file)
    found = f"{config.out} holds another collection"
    there = json.loads(file.read_text()).items()
    # Before there were views, all were demonstrations.
    before = {"views": 0} | {_RENAMED.get(name, name): value for name, value in there}
    require_same_settings(before, now, found, "choose another --out")


def _require_count(root: Path, count: int) -> None:
    """A dataset that was the last of a shorter collection cannot grow."""
    info = root / "meta" / "info.json"
    if info.is_file() and (found := json.loads(info.read_text())["total_episodes"]) != count:
        raise AsyncVLAError(
            f"{root} has {found} episodes, expected {count}; ask for as many episodes per task as before, "
            "or delete that dataset"
        )


def collect_part(config: CollectConfig, part: Part) -> PartReport:
    """Collect one part into ``config.out / part.name``.

    Raises:
        AsyncVLAError: another process collects it.
        RunError: the expert fails again and again.
    """
    # Shards of another number, or the whole, may run at the same time.
    with sole_writer(config.out / f".{part.name}.lock", f"the collection of {config.out / part.name}"):
        return _collect_part(config, part)


def _collect_part(config: CollectConfig, part: Part) -> PartReport:
    start = time.perf_counter()
    cameras = {view.key: (view.height, view.width) for view in OWN.cameras}
    features = dataset_features(
        cameras, STATE_NAMES, ACTION_NAMES, PRIVILEGED_NAMES, has_executed=True, has_style=config.styles > 1
    )
    attempts = frames = 0
    learner = None
    if config.learner is not None:
        from asyncvla_ros.policy import Policy

        learner = Policy.from_checkpoint(config.learner, threads=1)
    with (
        LiberoEnv(config.suite, part.task, config.rendering) as env,
        DatasetWriter(config.out / part.name, features, int(CONTROL_HZ), "libero_panda") as writer,
    ):
        if config.views:
            record_views(env, writer, config, part)
            return PartReport(part, part.count, part.count, part.count, time.perf_counter() - start)
        for episode in range(part.first, part.first + part.count):
            for attempt in range(_ATTEMPTS):
                attempts += 1
                steps = record_episode(
                    env, writer, config, (config.seed, part.task, episode, attempt), learner
                )
                if steps:
                    frames += steps
                    break
            else:
                raise RunError(
                    f"the expert failed {_ATTEMPTS} times in a row on {config.suite} task {part.task}, "
                    f"episode {episode} of seed {config.seed}; its dataset is missing, the others are there"
                )
    return PartReport(part, part.count, attempts, frames, time.perf_counter() - start)


def record_views(env: LiberoEnv, writer: DatasetWriter, config: CollectConfig, part: Part) -> None:
    """Record the views of a part."""
    for first in range(part.first, part.first + part.count, config.views):
        rng = np.random.default_rng((config.seed, part.task, first))
        _reset(env, config, rng)
        count = min(config.views, part.first + part.count - first)
        for observation, action, privileged in look_around(env, count, rng):
            writer.add(observation, action, privileged, executed=action)
            writer.save_episode()


def record_episode(
    env: LiberoEnv,
    writer: DatasetWriter,
    config: CollectConfig,
    seed: tuple[int, ...],
    learner: Policy | None = None,
) -> int:
    """Record one demonstration; keep it only if it succeeds.

    Returns:
        Control steps recorded; 0 if the demonstration failed.
    """
    rng = np.random.default_rng(seed)
    _reset(env, config, rng)
    style = int(rng.integers(config.styles)) if config.styles > 1 else None
    expert = Expert(env.scene, None if style is None else (style, config.styles))
    disturbance = Disturbance(config.noise, rng)
    limit = max_steps(config.suite)
    handover = int(limit * rng.uniform(*_LEARNER_SHARE)) if learner is not None else 0
    planned: list[np.ndarray] = []
    for step in range(limit):
        action = expert.act()
        observation = env.observe()
        if learner is not None and step < handover:
            if not planned:
                chunk = learner.infer(observation, Strategy("sfm"), seed=int(rng.integers(2**31)))
                planned = list(chunk.actions[: learner.execute_steps])
            executed = np.clip(planned.pop(0), -1, 1)
        else:
            executed = disturbance.apply(action, expert.phase)
        writer.add(observation, action, env.scene.privileged(), executed, style)
        env.step(executed)
        if env.success:
            writer.save_episode()
            return step + 1
    writer.discard_episode()
    return 0


def _reset(env: LiberoEnv, config: CollectConfig, rng: np.random.Generator) -> None:
    kinds, shares = zip(*config.placements, strict=True)
    env.reset(int(rng.integers(2**31)), kinds[rng.choice(len(kinds), p=shares)])
