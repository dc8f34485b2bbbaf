"""Settings, episodes and metrics of a Bridge evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from asyncvla_ros.common.options import (
    device_option,
    n_action_steps_option,
    option,
    seed_option,
    shard_option,
)
from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.common.shard import SHARD_EPISODES, Shard
from asyncvla_ros.common.written import indices
from asyncvla_ros.sim.evaluation.inference import Inference
from asyncvla_ros.sim.evaluation.stats import percentiles, wilson_interval
from asyncvla_ros.sim.simpler.bridge.tasks import TASKS
from asyncvla_ros.strategy import Strategy

#: Value of ``checkpoint`` without a policy.
EXPERT = "expert"


def _task_names(written: tuple[str, ...]) -> tuple[str, ...]:
    """Return each name once, and all tasks for ``all``."""
    return tuple(TASKS) if written == ("all",) else tuple(dict.fromkeys(written))


@dataclass(frozen=True)
class BridgeSettings:
    """Settings of an evaluation.

    Attributes:
        tasks: Names of tasks.
        inits: Initial placements; mani-skill calls their numbers ``episode_id``.
        strategy: Strategy of the policy.
        seed: Seed of the policy's noise and of mani-skill.
        n_action_steps: Number of executed actions per chunk; None: the checkpoint's.
        checkpoint: ``fingerprint`` of the policy's checkpoint, or ``EXPERT``.
        device: torch device of the policy.
        video_dir: Folder for one MP4 per episode; None for no videos.
        shard: Share of the episodes to run here.
    """

    tasks: tuple[str, ...] = option(
        help="carrot, spoon, stack or eggplant; repeatable. Or all.", flag="--task", read=_task_names
    )
    inits: tuple[int, ...] = option(
        "0-23",
        "Placements such as 0-23, of which SimplerEnv runs all 24.",
        flag="--episodes",
        read=partial(indices, what="episodes"),
    )
    strategy: Strategy = Strategy()
    seed: int = seed_option()
    n_action_steps: int | None = n_action_steps_option()
    checkpoint: str = ""
    device: str = device_option()
    video_dir: Path | None = option(None, "Folder for one MP4 per episode.", flag="--video")
    shard: Shard = shard_option()

    @property
    def episodes(self) -> tuple[tuple[str, int], ...]:
        """(task, placement) of each episode of the shard, in the order of the tasks."""
        return self.shard.take([(task, init) for task in self.tasks for init in self.inits], "episodes")


@dataclass(frozen=True)
class BridgeEpisode:
    """One episode, which always runs to its task's limit of steps.

    Attributes:
        task: Name of the task.
        init: Placement.
        seed: Seed of the simulator.
        steps: Number of control steps.
        success_last: Whether solved after the last step, SIMPLER's definition.
        success_ever: Whether solved after any step.
        inference_ms: Duration of each inference [ms].
    """

    task: str
    init: int
    seed: int
    steps: int
    success_last: bool
    success_ever: bool
    inference_ms: tuple[float, ...]

    @staticmethod
    def of(
        task: str, init: int, seed: int, solved: Sequence[bool], inferences: Sequence[Inference]
    ) -> BridgeEpisode:
        """Derive what is kept of an episode.

        Args:
            task: Name of the task.
            init: Placement.
            seed: Of the simulator.
            solved: After each control step, at least one.
            inferences: All of them, in order; none of the scripted motion.
        """
        times = tuple(inference.inference_ms for inference in inferences)
        return BridgeEpisode(
            task,
            init,
            seed,
            len(solved),
            success_last=solved[-1],
            success_ever=any(solved),
            inference_ms=times,
        )


def summarize(episodes: Sequence[BridgeEpisode], settings: BridgeSettings) -> dict[str, Any]:
    """Return the JSON-ready result of episodes; that of a shard also has the episodes' raw values."""
    return {
        "benchmark": "simpler_bridge",
        **metrics_of(episodes),
        **({SHARD_EPISODES: [asdict(e) for e in episodes]} if settings.shard.count > 1 else {}),
        **provenance(),
        "settings": {
            **{key: value for key, value in asdict(settings).items() if key != "video_dir"},
            "max_steps": {name: TASKS[name].max_steps for name in settings.tasks},
        },
    }


def metrics_of(episodes: Sequence[BridgeEpisode]) -> dict[str, Any]:
    """Compute metrics of episodes, at least one; tasks and episodes in their order."""
    names = dict.fromkeys(episode.task for episode in episodes)
    return {
        **_success(episodes),
        "per_task": {name: _success([e for e in episodes if e.task == name]) for name in names},
        "episodes": [
            {
                "task": e.task,
                "episode": e.init,
                "seed": e.seed,
                "steps": e.steps,
                "success_last": e.success_last,
                "success_ever": e.success_ever,
            }
            for e in episodes
        ],
        "inference_ms": percentiles([time for e in episodes for time in e.inference_ms]),
    }


def _success(episodes: Sequence[BridgeEpisode]) -> dict[str, Any]:
    """Compute ``n`` and success by both definitions, each with rate and 95 % interval."""
    return {
        "n": len(episodes),
        "success_last": _rate([e.success_last for e in episodes]),
        "success_ever": _rate([e.success_ever for e in episodes]),
    }


def _rate(won: Sequence[bool]) -> dict[str, Any]:
    successes = sum(won)
    return {
        "successes": successes,
        "rate": successes / len(won),
        "ci95": list(wilson_interval(successes, len(won))),
    }
