"""Picture of success by suite, of what was evaluated in lockstep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asyncvla_ros.report.results import Source, placed, short, strategy_of, switches
from asyncvla_ros.sim.evaluation.stats import wilson_interval

#: Solved and tried episodes, by row and suite.
_Counts = dict[str, dict[str, tuple[int, int]]]


def draw_success(evaluations: Sequence[Source], out: Path) -> bool:
    """Draw success with Wilson intervals: a row for each control and strategy, a mark for each suite.

    Evaluations with a handover, late answers or a moving world are left out; they have curves.

    Returns:
        Whether there was anything to draw.
    """
    from matplotlib.figure import Figure

    counts = count_success(evaluations)
    if not counts:
        return False
    suites = sorted({suite for row in counts.values() for suite in row})
    figure = Figure(figsize=(8.0, 1.2 + 0.42 * len(counts)), layout="constrained")
    axes = figure.subplots()
    for number, suite in enumerate(suites):
        rows = [(place, row[suite]) for place, row in enumerate(counts.values()) if suite in row]
        share = [solved / n for _, (solved, n) in rows]
        limits = [wilson_interval(solved, n) for _, (solved, n) in rows]
        below = [max(s - low, 0.0) for s, (low, _) in zip(share, limits, strict=True)]
        above = [max(high - s, 0.0) for s, (_, high) in zip(share, limits, strict=True)]
        # Intervals of several suites in one row are drawn below each other.
        at = [place + 0.22 * (number - (len(suites) - 1) / 2) for place, _ in rows]
        axes.errorbar(share, at, xerr=[below, above], fmt="o", markersize=4, capsize=2, label=suite)
    axes.set_yticks(range(len(counts)), list(counts))
    axes.set(xlabel="solved (95 %, Wilson)", xlim=(-0.02, 1.02))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(suites), fontsize="small")
    figure.savefig(out, dpi=130)
    return True


def count_success(evaluations: Sequence[Source]) -> _Counts:
    """Count solved and tried episodes of each row of the picture, by suite.

    A row is named by its control, and by its strategy where it is not the only one.
    """
    rows: dict[tuple[str, str, str, int], dict[str, tuple[int, int]]] = {}
    for source in evaluations:
        settings = source.values["settings"]
        moves = settings.get("delay", 0) > 0 or settings.get("world", "still") != "still"
        if moves or not switches(source.values):
            continue
        key = (
            short(settings.get("checkpoint")),
            placed(source.values) or "official states",
            strategy_of(source.values),
            settings["seed"],
        )
        solved, n = rows.setdefault(key, {}).get(source.values["suite"], (0, 0))
        won = [bool(e["success"]) for e in source.values["episodes"]]
        rows[key][source.values["suite"]] = solved + sum(won), n + len(won)
    keys = list(rows)
    return {_name(key, keys): row for key, row in rows.items()}


def _name(key: tuple[str, str, str, int], keys: Sequence[tuple[str, str, str, int]]) -> str:
    """Return the parts of a key in which it differs from others, after its control."""
    policy, control, strategy, seed = key
    parts = [control]
    if len({other[2] for other in keys if other[1] == control}) > 1:
        parts.append(strategy)
    if len({other[3] for other in keys if other[1:3] == key[1:3]}) > 1:
        parts.append(f"seed {seed}")
    if len({other[0] for other in keys}) > 1:
        parts.append(f"policy {policy}")
    return ", ".join(parts)
