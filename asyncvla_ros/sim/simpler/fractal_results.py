"""Settings, episodes and metrics of an evaluation on the Google robot."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass
from typing import Any

from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.sim.evaluation.inference import Inference, mean_of
from asyncvla_ros.sim.evaluation.stats import percentiles, wilson_interval
from asyncvla_ros.sim.simpler.google_robot import ACTION_HZ, STICKY_STEPS, max_steps
from asyncvla_ros.strategy import Strategy

_PACKAGES = ("simpler_env", "mani_skill2_real2sim", "sapien", "gymnasium", "scipy", "msgpack", "websockets")


@dataclass(frozen=True)
class FractalSettings:
    """Settings of an evaluation.

    Attributes:
        task: Name of a SimplerEnv task, such as ``google_robot_pick_coke_can``.
        episodes: Number of episodes; an episode's number selects the scene if the task has a list of them.
        strategy: Strategy of the policy.
        seed: Seed of scenes and noise.
        n_action_steps: Number of executed actions per chunk; None: the checkpoint's.
    """

    task: str
    episodes: int
    strategy: Strategy = Strategy()
    seed: int = 0
    n_action_steps: int | None = None


@dataclass(frozen=True)
class FractalEpisode:
    """One episode: success at its last control step, and at any; its inferences, at least one."""

    init: int
    instruction: str
    success: bool
    success_ever: bool
    steps: int
    inferences: tuple[Inference, ...]


def summarize(
    episodes: list[FractalEpisode], settings: FractalSettings, features: dict[str, Any], sim_hz: float
) -> dict[str, Any]:
    """Return the JSON-ready result of episodes, in the form of ``asyncvla eval``."""
    n, won = len(episodes), sum(e.success for e in episodes)
    ever = sum(e.success_ever for e in episodes)
    kept = ("init", "instruction", "success", "success_ever", "steps")
    inferences = [inference for e in episodes for inference in e.inferences]
    made = provenance()
    return {
        "suite": settings.task,
        "mode": settings.strategy.mode,
        "episodes": [{"task": 0, **{name: getattr(e, name) for name in kept}} for e in episodes],
        "success_rate": won / n,
        "n": n,
        "ci95": list(wilson_interval(won, n)),
        "success_ever_rate": ever / n,
        "success_ever_ci95": list(wilson_interval(ever, n)),
        "inference_ms": percentiles([inference.inference_ms for inference in inferences]),
        "refined_fraction": mean_of(inferences, "refined"),
        "versions": {**made["versions"], **_versions()},
        "machine": made["machine"],
        "policy": {name: features.get(name) for name in ("checkpoint", "device", "versions", "machine")},
        "settings": {
            **asdict(settings),
            "checkpoint": features.get("checkpoint", ""),
            "max_steps": max_steps(settings.task),
            "control_hz": ACTION_HZ,
            "sim_hz": sim_hz,
            "sticky_gripper_steps": STICKY_STEPS,
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
