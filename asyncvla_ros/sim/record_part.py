"""Record the episodes of one part of a collection as a LeRobot dataset.

The executed action is the expert's plus correlated noise, random kicks and now and then an opened gripper;
the action to learn is the expert's own answer to the state this led to. Both are stored: what was executed is
what a policy will be told of actions that are on their way while it thinks. With a rollout policy (DAgger,
arXiv 1011.0686) that policy drives first, for a random part of the episode, and the expert finishes:

    action.executed   policy policy policy ... policy | expert + noise ... expert + noise
    action            expert expert expert ... expert | expert         ... expert
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import numpy as np

from asyncvla_ros.common.exclusive_lock import exclusive_lock
from asyncvla_ros.data.lerobot_writer import (
    FEWEST_FRAMES,
    PRIVILEGED_NAMES,
    DatasetWriter,
    dataset_features,
)
from asyncvla_ros.sim.collection import CollectSettings, Part, PartReport
from asyncvla_ros.sim.expert.demonstrator import Expert
from asyncvla_ros.sim.expert.disturbance import Disturbance
from asyncvla_ros.sim.libero.conventions import ACTION_NAMES, OWN, STATE_NAMES
from asyncvla_ros.sim.libero.env import ACTION_HZ, LiberoEnv
from asyncvla_ros.sim.libero.tasks import max_steps
from asyncvla_ros.sim.views import Instruction, instructions, look_around
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import RunError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy

log = logging.getLogger(__name__)
_ATTEMPTS = 20
#: Part of the step limit after which the expert takes over from a rollout policy: room enough to finish.
_ROLLOUT_SHARE = (0.1, 0.55)


def collect_part(settings: CollectSettings, part: Part) -> PartReport:
    """Collect one part into ``settings.out / part.name``.

    Raises:
        AsyncVLAError: another process collects it.
        RunError: the expert fails again and again.
    """
    # Shards of another number, or the whole, may run at the same time.
    with exclusive_lock(settings.out / f".{part.name}.lock", f"the collection of {settings.out / part.name}"):
        return _collect_part(settings, part)


def _collect_part(settings: CollectSettings, part: Part) -> PartReport:
    start = time.perf_counter()
    cameras = {view.key: (view.height, view.width) for view in OWN.cameras}
    features = dataset_features(
        cameras, STATE_NAMES, ACTION_NAMES, PRIVILEGED_NAMES, has_executed=True, has_style=settings.styles > 1
    )
    attempts = frames = 0
    rollout_policy = None
    if settings.rollout_policy is not None:
        from asyncvla_ros.policy import Policy

        rollout_policy = Policy.from_checkpoint(settings.rollout_policy, threads=1)
    with (
        LiberoEnv(settings.suite, part.task, settings.rendering) as env,
        DatasetWriter(settings.out / part.name, features, int(ACTION_HZ), "libero_panda") as writer,
    ):
        choices = instructions(env) if settings.views else ()
        # The views of a scene are kept, or not, together.
        size = settings.views or 1
        for first in range(part.first, part.first + part.count, size):
            count = min(size, part.first + part.count - first)
            for attempt in range(_ATTEMPTS):
                attempts += count
                rng = np.random.default_rng((settings.seed, part.task, first, attempt))
                if not _reset(env, settings, rng):
                    continue
                if settings.views:
                    steps = record_views(env, writer, settings, choices, count=count, rng=rng)
                else:
                    steps = record_episode(env, writer, settings, rng, rollout_policy=rollout_policy)
                if steps:
                    frames += steps
                    break
            else:
                raise RunError(_failure(settings, part, first))
    return PartReport(part, part.count, attempts, frames, wall_s=time.perf_counter() - start)


def _failure(settings: CollectSettings, part: Part, first: int) -> str:
    if settings.views:
        return f"no scene for view {first} of {settings.suite} task {part.task}, seed {settings.seed}"
    return (
        f"the expert failed {_ATTEMPTS} times in a row on {settings.suite} task {part.task}, "
        f"episode {first} of seed {settings.seed}; its dataset is missing, the others are there"
    )


def _reset(env: LiberoEnv, settings: CollectSettings, rng: np.random.Generator) -> bool:
    """Make a scene; False if there was no room for one."""
    kinds, shares = zip(*settings.placements, strict=True)
    seed, kind = int(rng.integers(2**31)), kinds[rng.choice(len(kinds), p=shares)]
    try:
        # Views are arranged once their scene has come to rest.
        env.reset(seed, "official" if settings.views else kind)
    except RunError as error:
        log.info("another scene is made: %s", error)
        return False
    return True


def record_views(
    env: LiberoEnv,
    writer: DatasetWriter,
    settings: CollectSettings,
    choices: tuple[Instruction, ...],
    count: int,
    rng: np.random.Generator,
) -> int:
    """Record views of a scene.

    Returns:
        Frames recorded; 0 if there was no room, or the arm reaches nothing there.
    """
    try:
        views = list(look_around(env, choices, settings.placements, count, rng=rng))
    except RunError as error:
        log.info("another scene is made: %s", error)
        return 0
    for view in views:
        for answer in view:
            writer.add(answer.observation, answer.action, answer.privileged, executed=answer.action)
        writer.save_episode()
    return sum(map(len, views))


def record_episode(
    env: LiberoEnv,
    writer: DatasetWriter,
    settings: CollectSettings,
    rng: np.random.Generator,
    rollout_policy: Policy | None = None,
) -> int:
    """Record one demonstration in the scene as it is; keep it only if it succeeds.

    Returns:
        Control steps recorded; 0 if the demonstration failed, or there was nothing to do.
    """
    style = int(rng.integers(settings.styles)) if settings.styles > 1 else None
    expert = Expert(env.scene, None if style is None else (style, settings.styles))
    disturbance = Disturbance(settings.noise, rng)
    limit = max_steps(settings.suite)
    handover = int(limit * rng.uniform(*_ROLLOUT_SHARE)) if rollout_policy is not None else 0
    planned: list[np.ndarray] = []
    for step in range(limit):
        drives = step >= handover
        action = expert.act(drives=drives)
        observation = env.observe()
        if rollout_policy is not None and not drives:
            if not planned:
                chunk = rollout_policy.infer(observation, Strategy("sfm"), seed=int(rng.integers(2**31)))
                planned = list(chunk.actions[: rollout_policy.n_action_steps])
            executed = np.clip(planned.pop(0), -1, 1)
        else:
            executed = disturbance.apply(action, expert.phase)
        writer.add(observation, action, env.scene.privileged(), executed, style=style)
        env.step(executed)
        if env.success:
            if step + 1 < FEWEST_FRAMES:
                break
            writer.save_episode()
            return step + 1
    writer.discard_episode()
    return 0
