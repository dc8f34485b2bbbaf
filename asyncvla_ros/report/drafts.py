"""Tables of the choice among drafts, and of the gain from kept actions to the actions after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncvla_ros.report.results import Source, strategy_of, table


def within_table(sources: Sequence[Source]) -> str:
    """Make a row per signal of each source, and for the mean of drafts; empty without comparisons."""
    rows = [row for source in sources for row in _rows(source)]
    head = (
        *("file", "signal", "drafts", "pairs in order, same place (95 %)", "whole chunk (95 %)"),
        *("error of the chosen draft", "beside their mean (95 %)"),
    )
    return table(head, rows) if rows else ""


def loop_gain_table(demos: Sequence[Source]) -> str:
    """Tabulate, by number of kept actions, the gain of a dof on itself and of all on all; may be empty."""
    rows = []
    for source in demos:
        if gain := source.values.get("loop_gain"):
            cells = [f"{row['same']:+.2f} / {row['largest']:.2f}" for row in gain["by_kept"].values()]
            rows.append([source.name, strategy_of(source.values, "sfm"), str(gain["n"]), *cells])
    counts = {kept: None for s in demos for kept in (s.values.get("loop_gain") or {}).get("by_kept", {})}
    head = ("file", "strategy", "observations", *(f"{kept} kept" for kept in counts))
    return table(head, [row + ["-"] * (len(head) - len(row)) for row in rows]) if rows else ""


def _rows(source: Source) -> list[list[str]]:
    within = source.values.get("within_observation")
    if not within:
        return []
    concordance, selection = within["concordance_within_observation"], within["selection"]
    return [
        [
            *(source.name, name.replace("_", " "), str(within["drafts"])),
            *(_share(concordance.get(name, {}).get(kind)) for kind in ("same_place", "chunk")),
            f"{chosen['error']:.3f}",
            "-" if name == "the_mean" else _interval(chosen["over_the_mean_ci95"]),
        ]
        for name, chosen in selection.items()
    ]


def _share(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    limits = "" if figure["ci95"] is None else f" ({figure['ci95'][0]:.3f} to {figure['ci95'][1]:.3f})"
    return f"{figure['value']:.3f}{limits}"


def _interval(limits: Sequence[float] | None) -> str:
    return "-" if limits is None else f"{limits[0]:+.3f} to {limits[1]:+.3f}"
