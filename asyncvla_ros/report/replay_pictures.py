"""Pictures of a replay, as SVG for a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asyncvla_ros.report.replay_record import Moment, ReplayRecord
from asyncvla_ros.view.colors import LOWEST, SCALE

# Most names in a legend.
NAMED = 8
_DONE, _PREDICTED = "#222222", "#d1495b"


def draw_over_time(record: ReplayRecord, names: Sequence[str], units: Mapping[str, str]) -> str:
    """Draw the recorded motion and the first and last action of each chunk over time, a row per dof."""
    moments = [record.columns[key] for key in sorted(record.columns)]
    times = np.array([moment.time_s for moment in moments])
    figure, rows = _figure(11, 1.35 * len(names) + 0.6, len(names))
    for row, (axes, name) in enumerate(zip(rows, names, strict=True)):
        axes.plot(times, [m.done[0, row] for m in moments], color=_DONE, linewidth=1.2, label="done")
        axes.plot(
            times,
            [m.predicted[0, row] for m in moments],
            ".",
            color=_PREDICTED,
            markersize=2.5,
            label="predicted",
        )
        axes.set_ylabel(f"{name}\n[{units[name]}]", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.margins(x=0)
    rows[0].legend(loc="upper right", fontsize=7, ncols=2)
    rows[-1].set_xlabel("time [s]", fontsize=8)
    return _svg(figure)


def draw_horizon(mae_by_step: Mapping[str, Sequence[float | None]], units: Mapping[str, str]) -> str:
    """Draw the mean absolute error at each step of the chunk; dofs of one unit share axes."""
    groups: dict[str, list[str]] = {}
    for name in mae_by_step:
        groups.setdefault(units[name], []).append(name)
    figure, cells = _figure(3.6 * len(groups) + 0.4, 3.2, 1, len(groups))
    for axes, (unit, names) in zip(cells, groups.items(), strict=True):
        errors = {name: np.array([np.nan if v is None else v for v in mae_by_step[name]]) for name in names}
        for name in sorted(names, key=lambda name: -float(np.nansum(errors[name]))):
            error = errors[name]
            axes.plot(range(1, len(error) + 1), error, marker=".", label=name, linewidth=1)
        axes.set(xlabel="step of the chunk", ylabel=f"mean absolute error [{unit}]", ylim=(0, None))
        # Only the dofs with the largest errors.
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[:NAMED], labels[:NAMED], fontsize=7)
    return _svg(figure)


def draw_reliability(confidence: Mapping[str, Any]) -> str:
    """Draw mean label against mean confidence; the size of a point is its bin's share of actions."""
    figure, (axes,) = _figure(4.2, 3.6, 1)
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1)
    bins = confidence["reliability"]
    total = sum(one["count"] for one in bins) or 1
    sizes = [500 * one["count"] / total + 6 for one in bins]
    axes.scatter([b["confidence"] for b in bins], [b["outcome"] for b in bins], sizes, alpha=0.7)
    axes.set(xlabel="confidence", ylabel="what it predicts, by the error", xlim=(0, 1), ylim=(0, 1))
    return _svg(figure)


def draw_confidence(record: ReplayRecord) -> str:
    """Draw the confidence of each chunk's actions over time, with a dot for refined actions."""
    import matplotlib

    moments = [record.columns[key] for key in sorted(record.columns)]
    rated = np.array([moment.confidence for moment in moments]).T
    times = np.array([moment.time_s for moment in moments])
    edges = np.append(times, times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 1.0))
    figure, (axes,) = _figure(11, 2.1, 1)
    scale = matplotlib.colormaps[SCALE](np.linspace(LOWEST, 1.0, 256))
    colors = matplotlib.colors.ListedColormap(scale)
    steps = np.arange(rated.shape[0] + 1) + 0.5
    mesh = axes.pcolormesh(edges, steps, rated, vmin=0, vmax=1, cmap=colors, rasterized=True)
    again = np.array([moment.refined for moment in moments]).T
    row, column = np.nonzero(again)
    axes.plot((edges[:-1] + edges[1:])[column] / 2, row + 1, "k.", markersize=1.5)
    axes.set(xlabel="time [s]", ylabel="step of the chunk")
    axes.margins(x=0)
    figure.colorbar(mesh, ax=axes, label="confidence", fraction=0.03, pad=0.01)
    return _svg(figure)


def draw_moment(moment: Moment, names: Sequence[str], tolerance: Mapping[str, float]) -> str:
    """Draw the error of each action and dof of one chunk, in tolerances."""
    limits = np.array([tolerance[name] for name in names])
    error = np.abs(moment.predicted - moment.done) / limits
    figure, (axes,) = _figure(4.6, 0.2 * len(names) + 1.0, 1)
    mesh = axes.imshow(error.T, aspect="auto", vmin=0, vmax=5, cmap="magma_r", interpolation="nearest")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("step of the chunk", fontsize=8)
    axes.set_xticks(range(0, len(error), max(1, len(error) // 8)))
    axes.set_xticklabels(
        [str(step + 1) for step in range(0, len(error), max(1, len(error) // 8))], fontsize=7
    )
    figure.colorbar(mesh, ax=axes, label="tolerances", fraction=0.05, pad=0.02)
    return _svg(figure)


def _figure(width: float, height: float, rows: int, columns: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=columns == 1)
    return figure, list(axes.ravel())


def _svg(figure: Any) -> str:
    """Render an SVG element without a file header; text stays text."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "asyncvla"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
