"""Results of a demo: metrics, video and timelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros.demo.pictures import annotate, write_gif, write_timeline
from asyncvla_ros.ros.demo.recorder import InferenceTrace
from asyncvla_ros.ros.demo.settings import DemoSettings
from asyncvla_ros.sim.evaluation.stats import percentiles, wilson_interval
from asyncvla_ros.sim.evaluation.video import write_video

ROBOT = "libero_panda"


@dataclass(frozen=True)
class DemoEpisode:
    """One finished episode."""

    init: int
    success: bool
    steps: int
    inferences: tuple[InferenceTrace, ...]


def summarize(settings: DemoSettings, episodes: Sequence[DemoEpisode]) -> dict[str, Any]:
    """Compute the metrics of the measuring contract; latencies are wall clock at an observer."""
    inferences = [d for e in episodes for d in e.inferences]
    solved = sum(e.success for e in episodes)
    return {
        "suite": settings.suite,
        "mode": settings.mode,
        "episodes": [
            {
                "task": settings.task,
                "init": e.init,
                "success": e.success,
                "steps": e.steps,
                "inferences": len(e.inferences),
                "mean_confidence": _mean([d.confidence for d in e.inferences]),
                "refined_fraction": _mean([d.refined for d in e.inferences]),
                "inference_ms": percentiles([d.inference_ms for d in e.inferences]),
            }
            for e in episodes
        ],
        "success_rate": solved / len(episodes),
        "n": len(episodes),
        "ci95": list(wilson_interval(solved, len(episodes))),
        "inference_ms": percentiles([d.inference_ms for d in inferences]),
        "refined_fraction": _mean([d.refined for d in inferences]) or 0.0,
        "latency_ms": {
            "camera_to_chunk": _latency([(d.seen_s, d.chunk_s) for d in inferences]),
            "camera_to_command": _latency([(d.seen_s, d.command_s) for d in inferences]),
        },
        **provenance(),
        "settings": {
            "seed": settings.seed,
            "rendering": settings.rendering,
            "robot": ROBOT,
            "real_time_factor": settings.real_time_factor,
        },
    }


def _latency(pairs: Sequence[tuple[float | None, float | None]]) -> dict[str, float]:
    spans = [1e3 * (end - begin) for begin, end in pairs if begin is not None and end is not None]
    values = np.percentile(spans, (50, 95, 99)) if spans else np.zeros(3)
    return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), values, strict=True)}


def _mean(parts: Sequence[np.ndarray | None]) -> float | None:
    given = [part for part in parts if part is not None and len(part)]
    return round(float(np.concatenate(given).mean()), 4) if given else None


def write_pictures(
    settings: DemoSettings, robot: RobotContract, episodes: Sequence[DemoEpisode], instruction: str
) -> None:
    """Write a video of all episodes, a timeline of each, and the GIF if the settings name one.

    In lockstep there is one image per inference: a frame is shown for as long as its actions take, so the
    video runs in simulated time. The GIF runs at twice that speed.
    """
    names = [dof.name for dof in robot.dofs]
    steps = max((len(d.executed) for e in episodes for d in e.inferences), default=1)
    fps = robot.action_hz / max(1, steps)
    frames: list[np.ndarray] = []
    for number, episode in enumerate(episodes):
        end = "solved" if episode.success else "not solved"
        title = f"{settings.suite} task {settings.task}, initial state {episode.init}"
        shown = [annotate(d, instruction, title) for d in episode.inferences]
        if shown:
            last = annotate(episode.inferences[-1], instruction, f"{title}: {end} in {episode.steps} steps")
            shown += [last] * round(fps)
            name = f"timeline_task{settings.task:02d}_init{episode.init:02d}.png"
            write_timeline(settings.out / name, episode.inferences, names, 1 / robot.action_hz)
            if number == 0 and settings.gif is not None:
                write_gif(settings.gif, shown, 2 * fps)
        frames += shown
    if frames:
        write_video(settings.out / "demo.mp4", frames, fps)
