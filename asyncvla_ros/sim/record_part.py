"""Records the episodes of one part of a collection as a LeRobot dataset.

The executed action is the expert's plus correlated noise, random kicks and now and then an opened gripper;
the action to learn is the expert's own answer to the state this led to. Both are stored: what was executed is
what a policy will be told of actions that are on their way while it thinks. With a learner (DAgger, arXiv
1011.0686) a policy drives first, for a random part of the episode, and the expert takes over and finishes:

    action.executed   policy policy policy ... policy | expert + noise ... expert + noise
    action            expert expert expert ... expert | expert         ... expert
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import numpy as np

from asyncvla_ros.common.sole_writer import sole_writer
from asyncvla_ros.data.lerobot_writer import PRIVILEGED_NAMES, DatasetWriter, dataset_features
from asyncvla_ros.sim.collection import CollectSettings, Part, PartReport
from asyncvla_ros.sim.expert.demonstrator import Expert
from asyncvla_ros.sim.expert.disturbance import Disturbance
from asyncvla_ros.sim.libero.conventions import ACTION_NAMES, OWN, STATE_NAMES
from asyncvla_ros.sim.libero.env import CONTROL_HZ, LiberoEnv
from asyncvla_ros.sim.libero.tasks import max_steps
from asyncvla_ros.sim.views import Instruction, instructions, look_around
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import RunError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy

log = logging.getLogger(__name__)
_ATTEMPTS = 20
#: Part of the step limit after which the expert takes over from a learner: room enough to finish.
_LEARNER_SHARE = (0.1, 0.55)


def collect_part(config: CollectSettings, part: Part) -> PartReport:
    """Collect one part into ``config.out / part.name``.

    Raises:
        AsyncVLAError: another process collects it.
        RunError: the expert fails again and again.
    """
    # Shards of another number, or the whole, may run at the same time.
    with sole_writer(config.out / f".{part.name}.lock", f"the collection of {config.out / part.name}"):
        return _collect_part(config, part)


def _collect_part(config: CollectSettings, part: Part) -> PartReport:
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
        choices = instructions(env) if config.views else ()
        # The views of a scene are kept, or not, together.
        size = config.views or 1
        for first in range(part.first, part.first + part.count, size):
            count = min(size, part.first + part.count - first)
            for attempt in range(_ATTEMPTS):
                attempts += count
                rng = np.random.default_rng((config.seed, part.task, first, attempt))
                if not _reset(env, config, rng):
                    continue
                if config.views:
                    steps = record_views(env, writer, choices, count, rng=rng)
                else:
                    steps = record_episode(env, writer, config, rng, learner=learner)
                if steps:
                    frames += steps
                    break
            else:
                raise RunError(_failure(config, part, first))
    return PartReport(part, part.count, attempts, frames, wall_s=time.perf_counter() - start)


def _failure(config: CollectSettings, part: Part, first: int) -> str:
    if config.views:
        return f"no scene for view {first} of {config.suite} task {part.task}, seed {config.seed}"
    return (
        f"the expert failed {_ATTEMPTS} times in a row on {config.suite} task {part.task}, "
        f"episode {first} of seed {config.seed}; its dataset is missing, the others are there"
    )


def _reset(env: LiberoEnv, config: CollectSettings, rng: np.random.Generator) -> bool:
    """Make a scene; False if there was no room for one."""
    kinds, shares = zip(*config.placements, strict=True)
    try:
        env.reset(int(rng.integers(2**31)), kinds[rng.choice(len(kinds), p=shares)])
    except RunError as error:
        log.info("another scene is made: %s", error)
        return False
    return True


def record_views(
    env: LiberoEnv,
    writer: DatasetWriter,
    choices: tuple[Instruction, ...],
    count: int,
    rng: np.random.Generator,
) -> int:
    """Record views of the scene as it is.

    Returns:
        Views recorded; 0 if the arm reaches nothing there.
    """
    try:
        views = list(look_around(env, choices, count, rng))
    except RunError as error:
        log.info("another scene is made: %s", error)
        return 0
    for observation, action, privileged in views:
        writer.add(observation, action, privileged, executed=action)
        writer.save_episode()
    return count


def record_episode(
    env: LiberoEnv,
    writer: DatasetWriter,
    config: CollectSettings,
    rng: np.random.Generator,
    learner: Policy | None = None,
) -> int:
    """Record one demonstration in the scene as it is; keep it only if it succeeds.

    Returns:
        Control steps recorded; 0 if the demonstration failed.
    """
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
        writer.add(observation, action, env.scene.privileged(), executed, style=style)
        env.step(executed)
        if env.success:
            writer.save_episode()
            return step + 1
    writer.discard_episode()
    return 0
