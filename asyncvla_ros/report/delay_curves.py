"""Curves of success and of jerk at seams, over the delay of answers or the interval between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncvla_ros.report.delays import Run, pair
from asyncvla_ros.sim.evaluation.stats import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Delay or interval, value, lower and upper limit of its 95 % interval.
_Point = tuple[int, float, float, float]
_SHIFT = 0.05


def draw_delays(runs: Sequence[Run], out: Path) -> None:
    """Draw one column per world: success with Wilson intervals above, jerk at seams below.

    They are drawn over the delay; if no answer is late, over the interval between inferences.

    Args:
        runs: Runs of one policy and control, from ``runs_of``.
        out: The picture.
    """
    from matplotlib.figure import Figure

    worlds = sorted({run.setting.world for run in runs}, key=lambda world: (world != "still", world))
    figure = Figure(figsize=(3.2 * len(worlds) + 3.4, 6.0), layout="constrained")
    grid = figure.subplots(2, len(worlds), sharex=True, sharey="row", squeeze=False)
    names = list(dict.fromkeys(name for name, _ in curves(runs)))
    across = "delay" if any(run.setting.delay for run in runs) else "replan"
    if across == "replan":
        # How long the checkpoint's own interval is, is not known here.
        runs = [run for run in runs if run.setting.replan] or list(runs)
    for column, world in enumerate(worlds):
        success, jerk = grid[0, column], grid[1, column]
        inside = [run for run in runs if run.setting.world == world]
        for name, curve in curves(inside):
            place = names.index(name)
            # Intervals of several curves at one delay are drawn side by side.
            shift, style = _SHIFT * (place - (len(names) - 1) / 2), _style(place)
            _draw(success, [_success(run, across) for run in curve], name, shift, style=style)
            _draw(jerk, [p for run in curve if (p := _jerk(run, inside, across))], name, shift, style=style)
        success.set(title=f"world {world}", ylim=(0, 1.02))
        jerk.axhline(1.0, color="gray", linewidth=1)
        jerk.set(xlabel=f"{across} [control steps]", ylim=(0, None))
    grid[0, 0].set(ylabel="success (95 %, Wilson)")
    grid[1, 0].set(ylabel="jerk at seams, times switch\n(episodes both solved)")
    shown: dict[str, Any] = {}
    for axes in grid[0]:
        handles, labels = axes.get_legend_handles_labels()
        shown |= zip(labels, handles, strict=True)
    figure.legend(shown.values(), shown.keys(), loc="outside right upper", fontsize="small")
    figure.savefig(out, dpi=130)


def curves(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Return the name and the runs, by delay and interval, of each curve.

    A strategy has one curve for inference as often as the delay permits, and one for each longer interval;
    all curves begin with lockstep.
    """
    found = []
    for arm in dict.fromkeys(run.arm for run in runs):
        own = sorted((run for run in runs if run.arm == arm), key=_timing)
        lockstep = [run for run in own if run.setting.delay == 0]
        late = [run for run in own if run.setting.delay > 0]
        intervals = {run.setting.replan for run in late if run.setting.replan != run.setting.delay}
        soon = [run for run in late if run.setting.replan == run.setting.delay]
        # If the delay is as long as the interval, both curves have the same runs.
        if not intervals or {run.setting.replan for run in soon} - intervals:
            found.append((arm, lockstep + soon))
        for interval in sorted(filter(None, intervals)):
            same = [run for run in late if run.setting.replan == interval]
            found.append((f"{arm}, replan {interval}", lockstep + same))
    return found


def _timing(run: Run) -> tuple[int, int]:
    return run.setting.delay, run.setting.replan or 0


def _place(run: Run, across: str) -> int:
    delay, replan = _timing(run)
    return delay if across == "delay" else replan


def _success(run: Run, across: str) -> _Point:
    solved, n = sum(e["success"] for e in run.episodes.values()), len(run.episodes)
    return _place(run, across), solved / n, *wilson_interval(solved, n)


def _jerk(run: Run, runs: Sequence[Run], across: str) -> _Point | None:
    """Return the ratio of jerk to ``naive``, else to ``switch``; None without episodes both solved."""
    for arm, other in product((run.naive, run.switch), runs):
        fits = other.setting == run.setting and other.arm == arm and other is not run
        if fits and run.episodes.keys() & other.episodes.keys():
            ratio = pair(run, other).ratios["jerk_seam"]
            return None if ratio is None else (_place(run, across), ratio[0], *ratio[1])
    return None


def _draw(axes: Axes, points: Sequence[_Point], name: str, shift: float, style: dict[str, Any]) -> None:
    if not points:
        return
    places, value, low, high = (list(numbers) for numbers in zip(*points, strict=True))
    place = [number + shift for number in places]
    below = [max(v - bound, 0.0) for v, bound in zip(value, low, strict=True)]
    above = [max(bound - v, 0.0) for v, bound in zip(value, high, strict=True)]
    axes.errorbar(place, value, yerr=[below, above], label=name, capsize=3, marker="o", markersize=4, **style)


def _style(place: int) -> dict[str, Any]:
    """Return a line style, so that more curves than colors stay distinct."""
    return {"color": f"C{place % 10}", "linestyle": ("-", "--", ":")[place // 10 % 3]}
