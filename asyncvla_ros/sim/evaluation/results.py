"""What an evaluation was asked to measure, what an episode showed, and the metrics made of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asyncvla_ros.common.options import (
    device_option,
    n_action_steps_option,
    option,
    seed_option,
    shard_option,
    simulators_option,
)
from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.common.shard import SHARD_EPISODES, Shard
from asyncvla_ros.sim.evaluation.consistency import commanded_jerk
from asyncvla_ros.sim.evaluation.inference import Inference, mean_of, series
from asyncvla_ros.sim.evaluation.stats import percentiles, wilson_interval
from asyncvla_ros.sim.expert.motion import POSITION_UNIT_M
from asyncvla_ros.sim.libero.conventions import OWN, LiberoConventions
from asyncvla_ros.sim.libero.env import ACTION_HZ
from asyncvla_ros.sim.libero.options import (
    inits_option,
    placement_option,
    rendering_option,
    suite_option,
    tasks_option,
)
from asyncvla_ros.sim.libero.tasks import max_steps, task_indices
from asyncvla_ros.strategy import Strategy


@dataclass(frozen=True)
class EvalSettings:
    """What to measure.

    Attributes:
        suite: LIBERO suite.
        tasks: task indices; empty: all of the suite.
        inits: indices of official initial states; of random placements, if those are asked for.
        strategy: how the policy decides, complete: what it leaves open is as in the paper. Complete it with
            what the checkpoint says first.
        seed: determines the noise the policy draws, and what happens in its world.
        video_dir: folder for one MP4 per episode; None for no videos.
        workers: processes; each holds a policy and a simulator of its own.
        render: ``full`` for official metrics.
        blank_images: control experiment: the policy sees black images.
        displace_m: control experiment: objects displaced by up to this much [m].
        wrong_instruction: control experiment: the instruction is that of the next task of the suite.
        random_placements: for choices, such as thresholds: anything but the official initial states; so is
            any ``placement`` that is not official.
        placement: of those, see ``libero.placement``.
        n_action_steps: actions executed of each chunk; None: as the checkpoint says.
        checkpoint: ``fingerprint`` of the policy's checkpoint; tells results of different policies apart.
        device: torch device of the policy.
        conventions: in which the policy sees and moves LIBERO.
        shard: which of the episodes; the others are run elsewhere.
        delay: from an observation to its answer [control steps]; 0: the world waits.
        replan: with a delay, from one observation to the next [control steps]; see ``Timing``.
        world: one of ``worlds.WORLDS``.
    """

    suite: str = suite_option()
    tasks: tuple[int, ...] = tasks_option()
    inits: tuple[int, ...] = inits_option("0-9")
    strategy: Strategy = Strategy()
    seed: int = seed_option()
    video_dir: Path | None = option(None, "Folder for one MP4 per episode.", flag="--video")
    workers: int = simulators_option()
    render: str = rendering_option("full")
    blank_images: bool = option(False, "Control: the policy sees black images.")
    displace_m: float = option(0.0, "Control: objects move by up to this much (m).", 0, flag="--displace")
    wrong_instruction: bool = option(False, "Control: the policy is told the next task of the suite.")
    random_placements: bool = option(
        False, "Random placements instead of official states, for choices to be tested."
    )
    placement: str = placement_option("official")
    n_action_steps: int | None = n_action_steps_option()
    checkpoint: str = ""
    device: str = device_option()
    conventions: LiberoConventions = OWN
    shard: Shard = shard_option()
    delay: int = option(0, "Control steps until an answer is there; 0: the world waits.", 0)
    replan: int | None = option(
        None, "Control steps from one observation to the next; default: the delay.", 1
    )
    world: str = option("still", "still, or what happens in it: jump, drift (of the target), kicks.")

    def __post_init__(self) -> None:
        # Results are compared by what was done, whoever chose it.
        changes = {
            "tasks": task_indices(self.suite, self.tasks),
            "strategy": self.strategy.complete({}),
            "random_placements": self.random_placements or self.placement != "official",
        }
        for name, value in changes.items():
            object.__setattr__(self, name, value)

    @property
    def episodes(self) -> tuple[tuple[int, int], ...]:
        """(task, initial state) of each episode of the shard."""
        return self.shard.take([(task, init) for task in self.tasks for init in self.inits], "episodes")


@dataclass(frozen=True)
class Executed:
    """One action that was executed: its values (d,), and the number of the inference it came from."""

    values: np.ndarray
    inference: int


@dataclass(frozen=True)
class EpisodeResult:
    """One evaluated episode.

    Attributes:
        task: its index.
        init: its initial state.
        success: whether it was solved.
        steps: control steps.
        inference_ms: of each inference [ms].
        refined: mean over all inferences, see ``Inference``.
        confidence: likewise.
        jerk_inside: see ``commanded_jerk`` [m/s³].
        jerk_seam: likewise.
        refine_ms: mean of ``Inference.refine_ms``.
        kept: likewise.
        dry_steps: control steps without an action that was due; with a delay, those before the first answer.
        moved_step: control step at which the target began to move by itself; None: it did not.
        confidences: of each inference; empty without a rater.
        variances: of each inference; empty if nothing reads them.
        surprises: of each inference; empty without a monitor.
        disagreements: of each inference, None without a plan before; empty if that is so of all.
        approached: see ``classify_first_approach``, of the first thing to be moved; None as well where that
            is not one that stands on the table.
    """

    task: int
    init: int
    success: bool
    steps: int
    inference_ms: tuple[float, ...]
    refined: float
    confidence: float | None
    jerk_inside: float | None = None
    jerk_seam: float | None = None
    refine_ms: float | None = None
    kept: float = 0.0
    dry_steps: int = 0
    moved_step: int | None = None
    confidences: tuple[float | None, ...] = ()
    variances: tuple[float | None, ...] = ()
    surprises: tuple[float | None, ...] = ()
    disagreements: tuple[float | None, ...] = ()
    approached: str | None = None

    @staticmethod
    def of(
        task: int,
        init: int,
        steps: int,
        inferences: Sequence[Inference],
        executed: Sequence[Executed],
        *,
        success: bool,
    ) -> EpisodeResult:
        """Derive what is kept of an episode.

        Args:
            task: Its index.
            init: Its initial state.
            steps: Control steps.
            inferences: All of them, in order.
            executed: The action of each control step that had one, in order.
            success: Whether it was solved.
        """
        inside, seam = commanded_jerk(
            np.array([one.values for one in executed]),
            [one.inference for one in executed],
            POSITION_UNIT_M,
            ACTION_HZ,
        )
        return EpisodeResult(
            task,
            init,
            success,
            steps,
            inference_ms=tuple(one.inference_ms for one in inferences),
            refined=mean_of(inferences, "refined") or 0.0,
            confidence=mean_of(inferences, "confidence"),
            jerk_inside=inside,
            jerk_seam=seam,
            refine_ms=mean_of(inferences, "refine_ms"),
            kept=mean_of(inferences, "kept") or 0.0,
            dry_steps=steps - len(executed),
            confidences=series(inferences, "confidence"),
            variances=series(inferences, "variance"),
            surprises=series(inferences, "surprise"),
            disagreements=series(inferences, "disagreement"),
        )


def summarize(episodes: list[EpisodeResult], settings: EvalSettings) -> dict[str, Any]:
    """Make the JSON-ready result of some episodes; a shard's also has all that its metrics are made of."""
    return {
        "suite": settings.suite,
        "mode": settings.strategy.mode,
        **metrics_of(episodes),
        **({SHARD_EPISODES: [asdict(e) for e in episodes]} if settings.shard.count > 1 else {}),
        **provenance(),
        "settings": {
            **{key: value for key, value in asdict(settings).items() if key != "video_dir"},
            "max_steps": max_steps(settings.suite),
        },
    }


def metrics_of(episodes: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Derive what LIBERO episodes, at least one, say about a policy."""
    successes = sum(episode.success for episode in episodes)
    times = [time for episode in episodes for time in episode.inference_ms]
    return {
        "episodes": [
            {
                **{key: getattr(e, key) for key in ("task", "init", "success", "steps")},
                "inferences": len(e.inference_ms),
                **{key: _rounded(getattr(e, key)) for key in ("jerk_inside", "jerk_seam", "kept")},
                **{key: getattr(e, key) for key in ("dry_steps", "moved_step", "approached")},
                **{key: list(getattr(e, key)) for key in ("confidences", "variances", "surprises")},
                "disagreements": list(e.disagreements),
            }
            for e in episodes
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
        "inference_ms": percentiles(times),
        "refine_ms": _by_inference(episodes, "refine_ms"),
        "refined_fraction": _by_inference(episodes, "refined") or 0.0,
        "temporal_consistency": {
            "jerk_inside_m_s3": _median(episodes, "jerk_inside"),
            "jerk_seam_m_s3": _median(episodes, "jerk_seam"),
        },
    }


def _by_task(episodes: Sequence[EpisodeResult]) -> dict[int, list[bool]]:
    tasks = sorted({episode.task for episode in episodes})
    return {task: [e.success for e in episodes if e.task == task] for task in tasks}


def _by_inference(episodes: Sequence[EpisodeResult], field: str) -> float | None:
    """Average over all inferences what episodes hold as a mean over theirs; None: not known of all."""
    known = [(getattr(e, field), len(e.inference_ms)) for e in episodes if e.inference_ms]
    if not known or any(value is None for value, _ in known):
        return None
    values, weights = zip(*known, strict=True)
    return round(float(np.average(values, weights=weights)), 4)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _median(episodes: Sequence[EpisodeResult], field: str) -> float | None:
    known = [value for e in episodes if (value := getattr(e, field)) is not None]
    return round(float(np.median(known)), 3) if known else None
