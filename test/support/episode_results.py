"""A finished episode whose every figure differs from the others."""

from __future__ import annotations

from asyncvla_ros.sim.evaluation.results import EpisodeResult

FIRST = EpisodeResult(
    0,
    1,
    success=True,
    steps=90,
    inference_ms=(10.0, 12.5),
    refined=0.25,
    confidence=0.75,
    jerk_inside=1.5,
    jerk_seam=2.5,
    refine_ms=3.5,
)
