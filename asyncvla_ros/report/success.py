"""Success: of each evaluation, by task, and of pairs of strategies on the same episodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncvla_ros.report.results import Source, controls_of, strategy_of, table
from asyncvla_ros.sim.stats import mcnemar, paired_difference, wilson_interval

#: What other strategies are compared with.
_PLAIN = {"sfm", "afm"}
_SUCCESS_HEAD = (
    *("file", "suite", "strategy", "control", "solved", "success (95 %, Wilson)"),
    *("decision p50/p95 [ms]", "refined", "jerk inside/seam [m/s³]"),
)


def success_table(evaluations: Sequence[Source]) -> str:
    """One row per evaluation."""
    rows = []
    for source in evaluations:
        v = source.values
        solved = sum(e["success"] for e in v["episodes"])
        low, high = wilson_interval(solved, v["n"])
        jerk = v.get("temporal_consistency", {})
        rows.append(
            [
                source.name,
                v["suite"],
                strategy_of(v),
                controls_of(v) or "-",
                f"{solved}/{v['n']}",
                f"{solved / v['n']:.1%} ({low:.1%} to {high:.1%})",
                f"{v['tick_ms']['p50']:.0f} / {v['tick_ms']['p95']:.0f}",
                f"{v['refined_fraction']:.1%}",
                f"{jerk['jerk_inside_m_s3']:.0f} / {jerk['jerk_seam_m_s3']:.0f}" if jerk else "-",
            ]
        )
    return table(_SUCCESS_HEAD, rows)


def task_table(evaluations: Sequence[Source]) -> str:
    """Solved and tried, per task."""
    tasks = sorted({e["task"] for source in evaluations for e in source.values["episodes"]})
    rows = []
    for source in evaluations:
        row = [source.name]
        for task in tasks:
            won = [e["success"] for e in source.values["episodes"] if e["task"] == task]
            row.append(f"{sum(won)}/{len(won)}" if won else "-")
        rows.append(row)
    return table(["file", *map(str, tasks)], rows)


@dataclass(frozen=True)
class Comparison:
    """Two evaluations that differ in their strategy only, on the episodes they share.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        pairs: Shared episodes.
        gain: Success of the second minus that of the first.
        ci95: Of the gain, paired bootstrap.
        p: Of McNemar's exact test.
        more_ms: Median decision of the second minus that of the first [ms].
    """

    first: str
    second: str
    pairs: int
    gain: float
    ci95: tuple[float, float]
    p: float
    more_ms: float


def compare(evaluations: Sequence[Source]) -> Iterator[Comparison]:
    """Pairs of evaluations of the same policy, suite, seed and controls; one of each pair is plain."""
    for a, b in itertools.combinations(evaluations, 2):
        names = {strategy_of(a.values), strategy_of(b.values)}
        if _key(a.values) != _key(b.values) or len(names) < 2 or not names & _PLAIN:
            continue
        one, two = ({(e["task"], e["init"]): e["success"] for e in s.values["episodes"]} for s in (a, b))
        shared = sorted(one.keys() & two.keys())
        if not shared:
            continue
        outcomes = [one[k] for k in shared], [two[k] for k in shared]
        gain, interval = paired_difference(*outcomes)
        more_ms = b.values["tick_ms"]["p50"] - a.values["tick_ms"]["p50"]
        yield Comparison(a.name, b.name, len(shared), gain, interval, mcnemar(*outcomes), more_ms)


def comparison_table(comparisons: Iterable[Comparison]) -> str:
    """One row per pair."""
    rows = [
        [
            f"{c.second} - {c.first}",
            str(c.pairs),
            f"{c.gain:+.1%} ({c.ci95[0]:+.1%} to {c.ci95[1]:+.1%})",
            f"{c.p:.3f}",
            f"{c.more_ms:+.1f}",
        ]
        for c in comparisons
    ]
    return table(["difference", "pairs", "success (95 %, bootstrap)", "McNemar p", "decision [ms]"], rows)


def _key(values: Mapping[str, Any]) -> tuple[Any, ...]:
    settings = values["settings"]
    return settings.get("checkpoint"), values["suite"], settings["seed"], controls_of(values)
