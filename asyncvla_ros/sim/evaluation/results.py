"""What an evaluation was asked to measure, what an episode showed, and the figures made of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.common.shard import SHARD_EPISODES, WHOLE, Shard
from asyncvla_ros.sim.evaluation.stats import percentiles, wilson_interval
from asyncvla_ros.sim.libero.conventions import OWN, LiberoConventions
from asyncvla_ros.sim.libero.tasks import max_steps
from asyncvla_ros.strategy import Strategy


@dataclass(frozen=True)
class EvalConfig:
    """What to measure.

    Attributes:
        suite: LIBERO suite.
        tasks: task indices.
        inits: indices of official initial states; of random placements, if those are asked for.
        strategy: how the policy decides.
        seed: determines the noise the policy draws.
        video_dir: folder for one MP4 per episode; None for no videos.
        workers: processes; each holds a policy and a simulator of its own.
        render: ``full`` for official figures.
        blank_images: control experiment: the policy sees black images.
        displace_m: control experiment: objects displaced by up to this much [m].
        wrong_instruction: control experiment: the instruction is that of the next task of the suite.
        random_placements: for choices, such as thresholds: anything but the official initial states.
        execute_steps: actions executed of each chunk; None: as the checkpoint says.
        checkpoint: ``fingerprint`` of the policy's checkpoint; tells results of different policies apart.
        device: torch device of the policy.
        conventions: in which the policy sees and moves LIBERO.
        shard: which of the episodes; the others are run elsewhere.
    """

    suite: str
    tasks: tuple[int, ...]
    inits: tuple[int, ...]
    strategy: Strategy = Strategy()
    seed: int = 0
    video_dir: Path | None = None
    workers: int = 1
    render: str = "full"
    blank_images: bool = False
    displace_m: float = 0.0
    wrong_instruction: bool = False
    random_placements: bool = False
    execute_steps: int | None = None
    checkpoint: str = ""
    device: str = "cpu"
    conventions: LiberoConventions = OWN
    shard: Shard = WHOLE

    @property
    def episodes(self) -> tuple[tuple[int, int], ...]:
        """(task, initial state) of each episode of the shard."""
        return self.shard.take([(task, init) for task in self.tasks for init in self.inits], "episodes")


@dataclass(frozen=True)
class Episode:
    """One evaluated episode; ``steps`` in control steps, ``tick_ms`` per decision.

    ``refined`` and ``confidence`` are means over all actions of all chunks; the latter is None without a
    rater. ``judging_ms`` is what rater and refinement took, mean over the decisions. ``jerk_inside`` and
    ``jerk_seam`` as in ``commanded_jerk`` [m/s³].
    """

    task: int
    init: int
    success: bool
    steps: int
    tick_ms: tuple[float, ...]
    refined: float
    confidence: float | None
    jerk_inside: float | None = None
    jerk_seam: float | None = None
    judging_ms: float | None = None


def summarise(episodes: list[Episode], config: EvalConfig) -> dict[str, Any]:
    """The JSON-ready result of some episodes; a shard's also has all that its figures are made of."""
    return {
        "suite": config.suite,
        "mode": config.strategy.mode,
        **figures_of(episodes),
        **({SHARD_EPISODES: [asdict(e) for e in episodes]} if config.shard.count > 1 else {}),
        **provenance(),
        "settings": {
            **{key: value for key, value in asdict(config).items() if key != "video_dir"},
            "max_steps": max_steps(config.suite),
        },
    }


def figures_of(episodes: Sequence[Episode]) -> dict[str, Any]:
    """What episodes say about a policy, whatever simulator they are of."""
    successes = sum(episode.success for episode in episodes)
    ticks = [tick for episode in episodes for tick in episode.tick_ms]
    return {
        "episodes": [
            {"task": e.task, "init": e.init, "success": e.success, "steps": e.steps} for e in episodes
        ],
        "success_rate": successes / len(episodes),
        "n": len(episodes),
        "ci95": list(wilson_interval(successes, len(episodes))),
        "per_task": {
            str(task): {
                "successes": sum(won),
                "n": len(won),
                "ci95": list(wilson_interval(sum(won), len(won))),
            }
            for task, won in _by_task(episodes).items()
        },
        "tick_ms": percentiles(ticks),
        "judging_ms": _by_decision(episodes, "judging_ms"),
        "refined_fraction": _by_decision(episodes, "refined") or 0.0,
        "temporal_consistency": {
            "jerk_inside_m_s3": _median(episodes, "jerk_inside"),
            "jerk_seam_m_s3": _median(episodes, "jerk_seam"),
        },
    }


def _by_task(episodes: Sequence[Episode]) -> dict[int, list[bool]]:
    tasks = sorted({episode.task for episode in episodes})
    return {task: [e.success for e in episodes if e.task == task] for task in tasks}


def _by_decision(episodes: Sequence[Episode], field: str) -> float | None:
    """Mean over all decisions of what episodes hold as a mean over theirs."""
    known = [(getattr(e, field), len(e.tick_ms)) for e in episodes if e.tick_ms]
    if not known or any(value is None for value, _ in known):
        return None
    values, weights = zip(*known, strict=True)
    return round(float(np.average(values, weights=weights)), 4)


def _median(episodes: Sequence[Episode], field: str) -> float | None:
    known = [value for e in episodes if (value := getattr(e, field)) is not None]
    return round(float(np.median(known)), 3) if known else None
