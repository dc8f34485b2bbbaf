"""Tables and figures from the JSON files that evaluation, training and bench write."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.sim.stats import mcnemar, paired_difference, wilson_interval
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

#: Settings of an evaluation that make it another than the official one, and what to call them.
CONTROLS = {
    "blank_images": "blank images",
    "displace_m": "displaced",
    "wrong_instruction": "wrong instruction",
    "random_placements": "random placements",
}
_SUCCESS_HEAD = (
    *("file", "suite", "strategy", "control", "solved", "success (95 %, Wilson)"),
    *("decision p50/p95 [ms]", "refined", "jerk inside/seam [m/s³]"),
)
_KINDS = {
    "eval": "success_rate",
    "bench": "cached_ms",
    "rater": "auroc_worst_quarter",
    "demos": "action_accuracy",
}


@dataclass(frozen=True)
class Source:
    """A JSON file and what it holds."""

    name: str
    values: Mapping[str, Any]


def report(folder: Path, out: Path) -> list[Path]:
    """Write ``out`` (Markdown) and figures beside it from all JSON files under ``folder``.

    Returns:
        The files written.

    Raises:
        AsyncVLAError: If no file is a result of eval, bench or train-rater, or one is no JSON file.
    """
    found = load(folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    written = [out]
    sections = ["# Results\n", f"Rendered by `asyncvla report` from {sum(map(len, found.values()))} files."]
    if found["eval"]:
        sections += ["## Success", success_table(found["eval"]), "### By task", task_table(found["eval"])]
    if comparisons := list(compare(found["eval"])):
        sections += ["## Paired comparisons", comparison_table(comparisons)]
    if found["rater"]:
        picture = out.with_name(f"{out.stem}-reliability.png")
        draw_reliability(found["rater"], picture)
        written.append(picture)
        sections += ["## Confidence", rater_table(found["rater"]), f"![Reliability]({picture.name})"]
    if found["demos"]:
        picture = out.with_name(f"{out.stem}-horizon.png")
        draw_horizon(found["demos"], picture)
        written.append(picture)
        sections += ["## Actions beside the demonstrated ones", accuracy_table(found["demos"])]
        sections += [f"![Error along the chunk]({picture.name})"]
    if found["bench"]:
        sections += ["## Speed of a decision", bench_table(found["bench"])]
    sections += ["## Made with", *_provenance(itertools.chain(found["eval"], found["demos"], found["bench"]))]
    out.write_text("\n\n".join(sections) + "\n")
    return written


def load(folder: Path) -> dict[str, list[Source]]:
    """Sort the JSON files under a folder by what they are; others are ignored."""
    found: dict[str, list[Source]] = {kind: [] for kind in _KINDS}
    for file in sorted(folder.rglob("*.json")):
        try:
            values = json.loads(file.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise AsyncVLAError(f"{file} is no JSON file: {error}") from error
        for kind, key in _KINDS.items():
            if isinstance(values, dict) and key in values:
                found[kind].append(Source(str(file.relative_to(folder).with_suffix("")), values))
    if not any(found.values()):
        raise AsyncVLAError(
            f"{folder} has no result, expected JSON files of `asyncvla eval`, `bench policy` or the "
            "rater.json of `train-rater`"
        )
    return found


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
                _strategy(v),
                _controls(v) or "-",
                f"{solved}/{v['n']}",
                f"{solved / v['n']:.1%} ({low:.1%} to {high:.1%})",
                f"{v['tick_ms']['p50']:.0f} / {v['tick_ms']['p95']:.0f}",
                f"{v['refined_fraction']:.1%}",
                f"{jerk['jerk_inside_m_s3']:.0f} / {jerk['jerk_seam_m_s3']:.0f}" if jerk else "-",
            ]
        )
    return _table(_SUCCESS_HEAD, rows)


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
    return _table(["file", *map(str, tasks)], rows)


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
    """All pairs of evaluations of the same policy, suite, seed and controls."""
    for a, b in itertools.combinations(evaluations, 2):
        if _key(a.values) != _key(b.values) or _strategy(a.values) == _strategy(b.values):
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
    return _table(["difference", "pairs", "success (95 %, bootstrap)", "McNemar p", "decision [ms]"], rows)


def rater_table(raters: Sequence[Source]) -> str:
    """Ranking and calibration of each rater."""
    keys = {
        "auroc_worst_quarter": "AUROC rater",
        "auroc_worst_quarter_variance": "variance",
        "auroc_worst_quarter_position_only": "position",
        "ece": "ECE",
        "correlation": "correlation",
        "doubtful_share": "doubted",
    }
    rows = [
        [source.name, str(source.values.get("label", "-")), str(source.values["n"])]
        + [f"{source.values[k]:.3f}" if k in source.values else "-" for k in keys]
        for source in raters
    ]
    return _table(["file", "label", "actions", *keys.values()], rows)


def accuracy_table(demos: Sequence[Source]) -> str:
    """Mean absolute error of each mode, over all dofs but the gripper and for each dof."""
    names = list(dict.fromkeys(n for s in demos for a in _accuracies(s) for n in a[1]["mae_per_dof"]))
    rows = [
        [source.name, mode, str(source.values["frames"]), f"{a['mae']:.4f}"]
        + [f"{a['mae_per_dof'][n]:.4f}" if n in a["mae_per_dof"] else "-" for n in names]
        + ["-" if a["gripper_accuracy"] is None else f"{a['gripper_accuracy']:.1%}"]
        for source in demos
        for mode, a in _accuracies(source)
    ]
    return _table(["file", "mode", "observations", "error", *names, "gripper right"], rows)


def draw_horizon(demos: Sequence[Source], out: Path) -> None:
    """Mean absolute error at each step of the chunk."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    for source in demos:
        for mode, accuracy in _accuracies(source):
            error = accuracy["mae_per_step"]
            axes.plot(range(1, len(error) + 1), error, marker=".", label=f"{source.name}, {mode}")
    axes.set(xlabel="step of the chunk", ylabel="mean absolute error [action units]", ylim=(0, None))
    axes.legend()
    figure.savefig(out, dpi=130)


def _accuracies(source: Source) -> list[tuple[str, Mapping[str, Any]]]:
    return list(source.values["action_accuracy"].items())


def bench_table(benches: Sequence[Source]) -> str:
    """Milliseconds per stage, with the prefix cache and without."""
    rows = [
        [source.name, stage]
        + [f"{source.values[k][stage][p]:.1f}" for k in ("cached_ms", "uncached_ms") for p in ("p50", "p95")]
        for source in benches
        for stage in source.values["cached_ms"]
    ]
    return _table(["file", "stage", "cached p50", "p95", "uncached p50", "p95"], rows)


def draw_reliability(raters: Sequence[Source], out: Path) -> None:
    """Mean label against mean confidence; the size of a point is the share of actions in its bin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, label="calibrated")
    for source in raters:
        bins = source.values.get("reliability", [])
        total = sum(b["count"] for b in bins) or 1
        sizes = [400 * b["count"] / total for b in bins]
        x, y = [b["confidence"] for b in bins], [b["outcome"] for b in bins]
        axes.scatter(x, y, sizes, alpha=0.7, label=source.name)
    axes.set(xlabel="confidence", ylabel="label", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(out, dpi=130)


def _strategy(values: Mapping[str, Any]) -> str:
    """Mode, and what differs from the default strategy."""
    given = values["settings"].get("strategy", {"mode": values["mode"]})
    default = vars(Strategy())
    changed = [f"{k} {v}" for k, v in given.items() if k != "mode" and v != default.get(k)]
    if executed := values["settings"].get("execute_steps"):
        changed.append(f"execute_steps {executed}")
    return ", ".join([values["mode"], *changed])


def _controls(values: Mapping[str, Any]) -> str:
    settings = values["settings"]
    names = [(name, settings.get(key)) for key, name in CONTROLS.items()]
    chosen = [f"{name} {100 * v:g} cm" if name == "displaced" else name for name, v in names if v]
    if settings.get("render", "full") != "full":
        chosen.append("decimated meshes")
    return ", ".join(chosen)


def _key(values: Mapping[str, Any]) -> tuple[Any, ...]:
    settings = values["settings"]
    return settings.get("checkpoint"), values["suite"], settings["seed"], _controls(values)


def _provenance(sources: Iterable[Source]) -> list[str]:
    made = {
        "; ".join(
            ", ".join(f"{k} {v}" for k, v in source.values.get(part, {}).items())
            for part in ("versions", "machine")
        )
        for source in sources
    }
    return [f"- {line}" for line in sorted(made)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
