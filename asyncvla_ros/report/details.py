"""Confidence, errors against demonstrations, the scripted expert, and speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncvla_ros.report.results import Source, controls_of, strategy_of, table


def rated_demos(demos: Sequence[Source]) -> list[Source]:
    """Return evaluations of raters on demonstrations that also have metrics of the free signals."""
    rated = [Source(source.name, source.values.get("calibration") or {}) for source in demos]
    # Files that differ only in refinement have rated the same drafts.
    distinct = {str(s.values): s for s in rated if "auroc_worst_quarter_variance" in s.values}
    return list(distinct.values())


def rater_table(raters: Sequence[Source]) -> str:
    """Tabulate ranking and calibration of each rater beside the free signals."""
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
        + [_interval(source.values.get("auroc_gain_over_variance_ci95"))]
        for source in raters
    ]
    return table(["file", "label", "actions", *keys.values(), "rater over variance (95 %)"], rows)


def _interval(limits: Sequence[float] | None, digits: int = 3) -> str:
    return "-" if limits is None else " to ".join(f"{limit:+.{digits}f}" for limit in limits)


def draw_reliability(raters: Sequence[Source], out: Path) -> None:
    """Draw mean label against mean confidence; the size of a point is its bin's share of actions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1, label="calibrated")
    for source in raters:
        bins = source.values.get("reliability", [])
        total = sum(b["count"] for b in bins) or 1
        sizes = [400 * b["count"] / total for b in bins]
        x, y = [b["confidence"] for b in bins], [b["outcome"] for b in bins]
        axes.scatter(x, y, sizes, alpha=0.7, label=source.name)
    axes.set(xlabel="confidence", ylabel="label", xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(out, dpi=130)


def accuracy_table(demos: Sequence[Source]) -> str:
    """Tabulate each strategy's mean absolute error, over all dofs but the gripper and per dof."""
    names = list(dict.fromkeys(n for s in demos for a in _accuracies(s) for n in a[1]["mae_per_dof"]))
    rows = [
        [source.name, strategy, str(source.values["frames"]), f"{a['mae']:.4f}"]
        + [f"{a['mae_per_dof'][n]:.4f}" if n in a["mae_per_dof"] else "-" for n in names]
        + ["-" if a["gripper_accuracy"] is None else f"{a['gripper_accuracy']:.1%}"]
        for source in demos
        for strategy, a in _accuracies(source)
    ]
    return table(["file", "strategy", "observations", "error", *names, "gripper right"], rows)


def refinement_table(demos: Sequence[Source]) -> str:
    """Tabulate the error of refined actions before and after; empty if no source has any."""
    rows = [
        [
            source.name,
            strategy_of(source.values),
            str(source.values["frames"]),
            f"{r['share']:.1%}",
            f"{r['mae_before']:.4f}",
            f"{r['mae_after']:.4f}",
            f"{r['mae_before'] - r['mae_after']:+.4f} ({_interval(r['gain_ci95'], 4)})",
        ]
        for source in demos
        if (r := source.values.get("refined"))
    ]
    head = ("file", "strategy", "observations", "refined", "error before", "after", "gain (95 %, bootstrap)")
    return table(head, rows) if rows else ""


def draw_horizon(demos: Sequence[Source], out: Path) -> None:
    """Draw the mean absolute error at each step of the chunk."""
    from cycler import cycler
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    # Line styles keep more curves than colors distinct.
    axes.set_prop_cycle(cycler(linestyle=["-", "--", ":"]) * rcParams["axes.prop_cycle"])
    # Files that differ only in refinement have the same drafts.
    curves = {(strategy, tuple(a["mae_per_step"])): s.name for s in demos for strategy, a in _accuracies(s)}
    times = Counter(strategy for strategy, _ in curves)
    for (strategy, error), name in curves.items():
        label = strategy if times[strategy] == 1 else f"{strategy} ({name})"
        axes.plot(range(1, len(error) + 1), error, marker=".", label=label)
    axes.set(xlabel="step of the chunk", ylabel="mean absolute error [action units]", ylim=(0, None))
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(out, dpi=130)


def _accuracies(source: Source) -> list[tuple[str, Mapping[str, Any]]]:
    """Yield each strategy with its accuracy, the synchronous draft first."""
    accuracies = source.values["action_accuracy"]
    return [(strategy_of(source.values, mode), accuracy) for mode, accuracy in accuracies.items()]


def expert_table(experts: Sequence[Source]) -> str:
    """Tabulate solved and tried episodes per task; every other placement is widened."""
    tasks = sorted({int(task) for source in experts for task in source.values["per_task"]})
    rows = []
    for source in experts:
        v = source.values
        done = [v["per_task"].get(str(task)) for task in tasks]
        solved = [f"{row['successes']}/{row['n']}" if row else "-" for row in done]
        rows.append([source.name, v["expert_suite"], "yes" if v["settings"]["disturbed"] else "no", *solved])
    return table(["file", "suite", "disturbed", *map(str, tasks)], rows)


def approach_table(evaluations: Sequence[Source]) -> str:
    """Tabulate where the hand went first among displaced objects; empty if none was displaced."""
    rows = []
    for source in evaluations:
        found = Counter(e.get("approached") for e in source.values["episodes"])
        if source.values["settings"].get("placement", "official") in ("exchanged", "free"):
            n = len(source.values["episodes"])
            shares = [f"{found[place]}/{n}" for place in ("target", "usual", "other", None)]
            control, suite = controls_of(source.values), source.values["suite"]
            rows.append([source.name, suite, strategy_of(source.values), control, *shares])
    head = (
        "file",
        "suite",
        "strategy",
        "control",
        "target",
        "its usual place",
        "elsewhere",
        "nowhere, or no target",
    )
    return table(head, rows) if rows else ""


def bench_table(benches: Sequence[Source]) -> str:
    """Tabulate [ms] per stage, with and without the prefix cache."""
    rows = [
        [source.name, stage]
        + [f"{source.values[k][stage][p]:.1f}" for k in ("cached_ms", "uncached_ms") for p in ("p50", "p95")]
        for source in benches
        for stage in source.values["cached_ms"]
    ]
    return table(["file", "stage", "cached p50", "p95", "uncached p50", "p95"], rows)
