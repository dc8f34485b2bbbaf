"""Tables and figures from the JSON files that evaluation, training and bench write."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncvla_ros.report.delay_curves import draw_delays
from asyncvla_ros.report.delays import delay_table, pairing_table, pairings, runs_of
from asyncvla_ros.report.details import (
    accuracy_table,
    approach_table,
    bench_table,
    draw_horizon,
    draw_reliability,
    expert_table,
    rated_demos,
    rater_table,
    refinement_table,
)
from asyncvla_ros.report.drafts import loop_gain_table, within_table
from asyncvla_ros.report.results import Source, load, provenance_lines
from asyncvla_ros.report.shards import bridge_metrics, libero_metrics, merge_shards
from asyncvla_ros.report.simpler import simpler_table
from asyncvla_ros.report.success import compare, comparison_table, success_table, task_table
from asyncvla_ros.report.success_picture import draw_success


def report(folder: Path, out: Path) -> list[Path]:
    """Write ``out`` (Markdown) and figures beside it from all JSON files under ``folder``.

    The page is headed by its name.

    Returns:
        The files written.

    Raises:
        AsyncVLAError: If no file is a result of eval, bench or train-rater, one is no valid JSON, or shards
        of an evaluation are missing.
    """
    found = load(folder)
    evaluations = merge_shards(found["eval"], libero_metrics)
    out.parent.mkdir(parents=True, exist_ok=True)
    written = [out]
    sections = [
        f"# {out.stem.replace('_', ' ').capitalize()}",
        f"The tables are rendered by `asyncvla report` from {sum(map(len, found.values()))} files.",
    ]
    for some, pictures in (
        _success_sections(found, evaluations, out),
        _late_sections(evaluations, out),
        _draft_sections(found, out),
    ):
        sections, written = sections + some, written + pictures
    if found["expert"]:
        sections += ["## The scripted expert", expert_table(found["expert"])]
    if found["bench"]:
        sections += ["## Speed of an inference", bench_table(found["bench"])]
    sections += ["## Made with", *provenance_lines(itertools.chain(*found.values()))]
    out.write_text("\n\n".join(sections) + "\n")
    return written


def _success_sections(
    found: Mapping[str, Sequence[Source]], evaluations: Sequence[Source], out: Path
) -> tuple[list[str], list[Path]]:
    """Return the sections about success, and draw their picture."""
    sections, pictures = [], []
    if evaluations:
        sections += ["## Success", success_table(evaluations), "### By task", task_table(evaluations)]
    if approaches := approach_table(evaluations):
        sections += ["### Where the hand went first", approaches]
    if simpler := simpler_table(merge_shards(found["bridge"], bridge_metrics), evaluations):
        sections += ["## SimplerEnv", simpler]
    if comparisons := list(compare(evaluations)):
        sections += ["## Paired comparisons", comparison_table(comparisons)]
    picture = out.with_name(f"{out.stem}-success.png")
    if draw_success(evaluations, picture):
        sections.insert(2, f"![Success by suite]({picture.name})")
        pictures.append(picture)
    return sections, pictures


def _late_sections(evaluations: Sequence[Source], out: Path) -> tuple[list[str], list[Path]]:
    """Return the sections about handovers, late answers and moving worlds, and draw their pictures."""
    runs = runs_of(evaluations)
    if not runs:
        return [], []
    sections, pictures = ["## Handovers, late answers, moving worlds", delay_table(runs)], []
    if found := list(pairings(runs)):
        sections += ["### In pairs", pairing_table(found)]
    subjects = dict.fromkeys((run.setting.policy, run.setting.control) for run in runs)
    for number, subject in enumerate(subjects):
        picture = out.with_name(f"{out.stem}-delay{f'-{number + 1}' if number else ''}.png")
        draw_delays([run for run in runs if (run.setting.policy, run.setting.control) == subject], picture)
        pictures.append(picture)
        sections.append(f"![Handovers, policy {subject[0]}, {subject[1]}]({picture.name})")
    return sections, pictures


def _draft_sections(found: Mapping[str, list[Source]], out: Path) -> tuple[list[str], list[Path]]:
    """Return the sections about raters and about actions beside demonstrations, and draw their pictures."""
    sections, pictures = [], []
    if raters := found["rater"] + rated_demos(found["demos"]):
        picture = out.with_name(f"{out.stem}-reliability.png")
        draw_reliability(raters, picture)
        pictures.append(picture)
        sections += ["## Confidence", rater_table(raters), f"![Reliability]({picture.name})"]
    if within := within_table(found["rater"] + found["demos"]):
        sections += ["## Choosing among drafts of one observation", within]
    if found["demos"]:
        picture = out.with_name(f"{out.stem}-horizon.png")
        draw_horizon(found["demos"], picture)
        pictures.append(picture)
        sections += ["## Actions beside the demonstrated ones", accuracy_table(found["demos"])]
        if refined := refinement_table(found["demos"]):
            sections += ["### The refined actions alone", refined]
        if gains := loop_gain_table(found["demos"]):
            sections += ["### How an action answers those kept before it (same dof / all dofs)", gains]
        sections += [f"![Error along the chunk]({picture.name})"]
    return sections, pictures
