"""Settings, episodes and figures of a Bridge evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.common.shard import SHARD_EPISODES, WHOLE, Shard
from asyncvla_ros.sim.evaluation.stats import percentiles, wilson_interval
from asyncvla_ros.sim.simpler.bridge.tasks import TASKS
from asyncvla_ros.strategy import Strategy

#: Value of ``checkpoint`` without a policy.
EXPERT = "expert"


@dataclass(frozen=True)
class BridgeConfig:
    """Settings of an evaluation.

    Attributes:
        tasks: Names of tasks.
        inits: Initial placements; mani-skill calls their numbers ``episode_id``.
        strategy: Strategy of the policy.
        seed: Seed of the policy's noise and of mani-skill.
        execute_steps: Number of executed actions per chunk; None: the checkpoint's.
        checkpoint: ``fingerprint`` of the policy's checkpoint, or ``EXPERT``.
        device: torch device of the policy.
        video_dir: Folder for one MP4 per episode; None for no videos.
        shard: Share of the episodes to run here.
    """

    tasks: tuple[str, ...]
    inits: tuple[int, ...]
    strategy: Strategy = Strategy()
    seed: int = 0
    execute_steps: int | None = None
    checkpoint: str = ""
    device: str = "cpu"
    video_dir: Path | None = None
    shard: Shard = WHOLE

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
        tick_ms: Duration of each inference [ms].
    """

    task: str
    init: int
    seed: int
    steps: int
    success_last: bool
    success_ever: bool
    tick_ms: tuple[float, ...]


def summarize(episodes: Sequence[BridgeEpisode], config: BridgeConfig) -> dict[str, Any]:
    """Return the JSON-ready result of episodes; that of a shard also has the episodes' raw values."""
    return {
        "benchmark": "simpler_bridge",
        **figures_of(episodes),
        **({SHARD_EPISODES: [asdict(e) for e in episodes]} if config.shard.count > 1 else {}),
        **provenance(),
        "settings": {
            **{key: value for key, value in asdict(config).items() if key != "video_dir"},
            "max_steps": {name: TASKS[name].max_steps for name in config.tasks},
        },
    }


def figures_of(episodes: Sequence[BridgeEpisode]) -> dict[str, Any]:
    """Compute figures of episodes, at least one; tasks and episodes in their order."""
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
        "tick_ms": percentiles([tick for e in episodes for tick in e.tick_ms]),
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
