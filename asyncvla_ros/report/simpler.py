"""Table of SimplerEnv's benchmarks, with success after the last step of an episode and after any step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncvla_ros.report.results import Source, short, strategy_of, table
from asyncvla_ros.sim.simpler.bridge.results import EXPERT

_HEAD = (
    *("file", "benchmark", "task", "policy", "strategy", "episodes"),
    *("last step (95 %, Wilson)", "any step (95 %, Wilson)", "inference p50/p95 [ms]"),
)


def simpler_table(bridge: Sequence[Source], evaluations: Sequence[Source]) -> str:
    """Make a row per Bridge task, one for all of them, and one per Fractal evaluation.

    Args:
        bridge: Bridge evaluations.
        evaluations: Other evaluations; those without success after any step are left out.

    Returns:
        A Markdown table; empty without evaluations in SimplerEnv.
    """
    rows = [row for source in bridge for row in _bridge_rows(source)]
    rows += [_fractal_row(source) for source in evaluations if "success_ever_rate" in source.values]
    return table(_HEAD, rows) if rows else ""


def _bridge_rows(source: Source) -> list[list[str]]:
    v = source.values
    checkpoint = v["settings"]["checkpoint"]
    actor = [EXPERT, "-"] if checkpoint == EXPERT else [short(checkpoint), strategy_of(v)]
    of_tasks: dict[str, Mapping[str, Any]] = dict(v["per_task"])
    if len(of_tasks) > 1:
        of_tasks["all"] = v
    return [
        [
            *(source.name, "Bridge", task, *actor, str(row["n"])),
            *(_interval(row[kind]["rate"], row[kind]["ci95"]) for kind in ("success_last", "success_ever")),
            # Inference is timed over all tasks.
            _inference(v) if row is v or len(of_tasks) == 1 else "-",
        ]
        for task, row in of_tasks.items()
    ]


def _fractal_row(source: Source) -> list[str]:
    v = source.values
    return [
        *(source.name, "Fractal", v["suite"], short(v["settings"].get("checkpoint")), strategy_of(v)),
        *(str(v["n"]), _interval(v["success_rate"], v["ci95"])),
        *(_interval(v["success_ever_rate"], v["success_ever_ci95"]), _inference(v)),
    ]


def _interval(rate: float, ci95: Sequence[float]) -> str:
    return f"{rate:.1%} ({ci95[0]:.1%} to {ci95[1]:.1%})"


def _inference(values: Mapping[str, Any]) -> str:
    p50, p95 = values["inference_ms"]["p50"], values["inference_ms"]["p95"]
    return f"{p50:.0f} / {p95:.0f}" if p95 else "-"
