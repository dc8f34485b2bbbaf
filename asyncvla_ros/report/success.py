"""Tables of success: per evaluation, per task, and for pairs of strategies on the same episodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncvla_ros.report.paired import HEADINGS, PairedSuccess
from asyncvla_ros.report.results import Source, controls_of, euler_steps, short, strategy_of, switches, table
from asyncvla_ros.sim.evaluation.stats import wilson_interval
from asyncvla_ros.types import AsyncVLAError

#: Baselines for other strategies.
_PLAIN = ("sfm", "afm")
#: Success by (task, initial state), of one strategy on one suite.
_Outcomes = dict[tuple[int, int], bool]
_SUCCESS_HEAD = (
    *("file", "suite", "policy", "strategy", "control", "solved", "success (95 %, Wilson)"),
    *("inference p50/p95 [ms]", "of it rate and refine [ms]", "refined", "jerk inside/seam [m/s³]"),
)


def success_table(evaluations: Sequence[Source]) -> str:
    """Make one row per evaluation."""
    rows = []
    for source in evaluations:
        v = source.values
        solved = sum(e["success"] for e in v["episodes"])
        low, high = wilson_interval(solved, v["n"])
        refining, jerk = v.get("refine_ms"), v.get("temporal_consistency", {})
        rows.append(
            [
                source.name,
                v["suite"],
                short(v["settings"].get("checkpoint")),
                strategy_of(v),
                controls_of(v) or "-",
                f"{solved}/{v['n']}",
                f"{solved / v['n']:.1%} ({low:.1%} to {high:.1%})",
                f"{v['inference_ms']['p50']:.0f} / {v['inference_ms']['p95']:.0f}",
                "-" if refining is None else f"{refining:.1f}",
                f"{v['refined_fraction']:.1%}",
                " / ".join("-" if x is None else f"{x:.0f}" for x in jerk.values()) or "-",
            ]
        )
    return table(_SUCCESS_HEAD, rows)


def task_table(evaluations: Sequence[Source]) -> str:
    """Tabulate solved and tried episodes per task."""
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
class PairedComparison:
    """Comparison of two strategies of a policy on their common episodes.

    Attributes:
        policy: Start of the checkpoint's fingerprint, or "-".
        control: Differences from the official episodes, and the seed.
        strategy: The strategy.
        baseline: The baseline.
        suites: Suites of the episodes.
        success: Success of both on these.
    """

    policy: str
    control: str
    strategy: str
    baseline: str
    suites: tuple[str, ...]
    success: PairedSuccess


def compare(evaluations: Sequence[Source]) -> Iterator[PairedComparison]:
    """Compare strategies on common episodes of one policy, seed and control: by suite, then pooled.

    Each is compared with the plain strategies, or else the cheapest; one that refines also with its drafts
    alone. Handovers are compared elsewhere, see ``delays``.
    """
    groups: dict[Any, dict[str, dict[str, _Outcomes]]] = {}
    switching = [s for s in evaluations if switches(s.values)]
    drafts = {strategy_of(s.values): strategy_of(s.values, "sfm") for s in switching}
    costs = {strategy_of(s.values): euler_steps(s.values) for s in switching}
    for source in switching:
        v = source.values
        strategies = groups.setdefault(
            (v["settings"].get("checkpoint"), v["settings"]["seed"], controls_of(v)), {}
        )
        played = strategies.setdefault(strategy_of(v), {}).setdefault(v["suite"], {})
        outcomes = {(e["task"], e["init"]): e["success"] for e in v["episodes"]}
        if both := played.keys() & outcomes.keys():
            raise AsyncVLAError(
                f"{source.name} has {len(both)} episodes of {v['suite']} ({strategy_of(v)}) that another "
                "file has, too; keep one of the two"
            )
        played |= outcomes
    for (policy, seed, controls), strategies in groups.items():
        control = f"{controls}, seed {seed}" if controls else f"seed {seed}"
        simple = [name for name in _PLAIN if name in strategies] or [min(strategies, key=costs.__getitem__)]
        for strategy, baseline in itertools.product(strategies, strategies):
            # Plain strategies are compared only with their drafts.
            plain = () if strategy in simple else simple
            if baseline == strategy or baseline not in (drafts[strategy], *plain):
                continue
            one, other = strategies[baseline], strategies[strategy]
            suites = sorted(s for s in one.keys() & other.keys() if one[s].keys() & other[s].keys())
            for chosen in [(s,) for s in suites] + ([tuple(suites)] if len(suites) > 1 else []):
                names = (short(policy), control, strategy, baseline)
                yield _compared(names, other, one, chosen)


def _compared(
    names: tuple[str, str, str, str],
    played: Mapping[str, _Outcomes],
    played_by_baseline: Mapping[str, _Outcomes],
    suites: tuple[str, ...],
) -> PairedComparison:
    before: list[bool] = []
    after: list[bool] = []
    for suite in suites:
        one, other = played_by_baseline[suite], played[suite]
        shared = sorted(one.keys() & other.keys())
        before += [one[k] for k in shared]
        after += [other[k] for k in shared]
    return PairedComparison(*names, suites, PairedSuccess.of(before, after))


def comparison_table(comparisons: Iterable[PairedComparison]) -> str:
    """Make one row per pair of strategies and suite, or all suites."""
    rows = [
        [c.policy, c.control, c.strategy, c.baseline, ", ".join(c.suites), *c.success.cells]
        for c in comparisons
    ]
    return table(("policy", "control", "strategy", "compared with", "suites", *HEADINGS), rows)
