"""Quality of the episode monitor, from the signals that evaluations stored for each inference.

Failures run until the step limit, so any signal that grows with time separates them from successes in the
end. Hence every figure is given twice: over whole episodes, and over the first ``early`` inferences, which
three in four successes also need; and beside elapsed time, which costs nothing. Ranking is within tasks,
because it is known beforehand which tasks are hard.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asyncvla_ros.common.calibration import auroc
from asyncvla_ros.common.renamed import with_present_keys
from asyncvla_ros.observe.episode_monitor import (
    SIGNALS,
    EpisodeLimits,
    fit_limits,
    scores,
)
from asyncvla_ros.report.results import interval_of
from asyncvla_ros.sim.evaluation.stats import wilson_interval
from asyncvla_ros.types import AsyncVLAError

_FIELDS = {
    "surprise": "surprises",
    "disagreement": "disagreements",
    "doubt": "confidences",
    "variance": "variances",
}
_RESAMPLES = 500


@dataclass(frozen=True)
class WatchedEpisode:
    """An evaluated episode with the signals of its inferences.

    Attributes:
        task: Suite and index.
        init: Initial state.
        success: Whether the task was solved.
        steps: Number of control steps.
        replan: Control steps between inferences.
        signals: Signals of each inference, by the names in ``SIGNALS``.
    """

    task: str
    init: int
    success: bool
    steps: int
    replan: int
    signals: tuple[Mapping[str, float | None], ...]


def watched_episodes(files: Sequence[Path]) -> tuple[list[WatchedEpisode], str]:
    """Read the episodes of evaluations, and the fingerprint of their checkpoint.

    Raises:
        AsyncVLAError: If a file is no evaluation, has no signals, or belongs to another policy.
    """
    found: list[WatchedEpisode] = []
    policies: set[str] = set()
    for file in files:
        try:
            values = json.loads(file.read_text(encoding="utf-8"), object_hook=with_present_keys)
            suite, rows = values["suite"], values["episodes"]
            policies.add(values["settings"]["checkpoint"])
            # The checkpoint's own, else; the last chunk of an episode may be executed in part.
            replan = interval_of(values) or max(
                (math.ceil(row["steps"] / row["inferences"]) for row in rows if row["inferences"]), default=1
            )
            read = [_watched(row, suite, replan) for row in rows if row["inferences"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AsyncVLAError(
                f"{file} holds no evaluation with inferences ({error!r}), expected a file of `asyncvla eval "
                "libero --json`"
            ) from error
        found += read
    if len(policies) > 1:
        raise AsyncVLAError(f"the files are of different policies, {sorted(policies)}; expected one")
    if not any(
        value is not None for episode in found for signals in episode.signals for value in signals.values()
    ):
        raise AsyncVLAError(
            "no file holds a signal of an inference; expected a policy with a monitor or a rater"
        )
    return found, policies.pop()


def _watched(row: Mapping[str, Any], suite: str, replan: int) -> WatchedEpisode:
    columns = {name: row.get(field) or [None] * row["inferences"] for name, field in _FIELDS.items()}
    columns["doubt"] = [None if value is None else 1 - value for value in columns["doubt"]]
    signals = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return WatchedEpisode(
        f"{suite} {row['task']}",
        row["init"],
        row["success"],
        row["steps"],
        replan=replan,
        signals=tuple(signals),
    )


def monitor_metrics(
    episodes: Sequence[WatchedEpisode],
    window: int,
    alpha: float,
    names: Sequence[str] = SIGNALS,
) -> tuple[dict[str, Any], EpisodeLimits]:
    """Choose limits on the successes of every other initial state, and measure on all other episodes.

    Args:
        episodes: Episodes of one policy.
        window: Inferences of a running mean.
        alpha: Share of successful episodes that may exceed the limit.
        names: Signals to use.

    Returns:
        ``auroc_within_task`` and ``auroc_early_within_task`` of the score, of each signal alone and of
        ``elapsed`` time, with ``ci95`` (bootstrap over episodes) for the score; ``task_only``: AUROC of the
        share of other failures at the task; at the limit ``true_alarms`` and ``false_alarms`` (share, Wilson
        interval, and the share within the first ``early`` inferences); ``lead_steps``: control steps from the
        first alarm of a failed episode to its end; ``raised_by``: signals of first alarms. And the limits.

    Raises:
        AsyncVLAError: If there are too few successes to choose a limit, or no failures and successes besides.
    """
    calibrating = [e for e in episodes if e.success and e.init % 2 == 0]
    needed = math.ceil(1 / alpha) - 1
    if len(calibrating) < needed:
        raise AsyncVLAError(
            f"{len(calibrating)} successes at even initial states are there to choose a limit, expected at "
            f"least {needed} for an alpha of {alpha:g}"
        )
    test = [e for e in episodes if not (e.success and e.init % 2 == 0)]
    failed = np.array([not e.success for e in test])
    if not failed.any() or failed.all():
        raise AsyncVLAError(
            f"{failed.sum()} failures and {(~failed).sum()} successes are there to measure, expected both"
        )
    limits = fit_limits([e.signals for e in calibrating], names, window, alpha)
    early = max(1, int(np.quantile([len(e.signals) for e in test if e.success], 0.25)))
    tasks = np.array([e.task for e in test])
    series = {"score": [scores(limits, e.signals) for e in test]}
    for name in limits.signals:
        alone = EpisodeLimits({name: limits.signals[name]}, 0.0, window)
        series[name] = [scores(alone, e.signals) for e in test]
    series["elapsed"] = [np.arange(1.0, len(e.signals) + 1) for e in test]
    metrics = {
        "monitored": {"episodes": len(test), "failures": int(failed.sum()), "calibrating": len(calibrating)},
        "early": early,
        "auroc_within_task": _aurocs(series, failed, tasks, None),
        "auroc_early_within_task": _aurocs(series, failed, tasks, early),
        "task_only": _task_only(failed, tasks),
        **_alarms(test, series, limits, early),
        "limits": asdict(limits),
    }
    return metrics, limits


def _aurocs(
    series: Mapping[str, Sequence[np.ndarray]], failed: np.ndarray, tasks: np.ndarray, early: int | None
) -> dict[str, Any]:
    """Compute AUROC by name of each episode's largest value over the first ``early`` inferences."""
    largest = {name: np.array([values[:early].max() for values in many]) for name, many in series.items()}
    found: dict[str, Any] = {name: _within(values, failed, tasks) for name, values in largest.items()}
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(failed), size=(_RESAMPLES, len(failed)))
    values = largest["score"]
    resampled = [_within(values[rows], failed[rows], tasks[rows]) for rows in drawn]
    known = [value for value in resampled if value is not None]
    found["ci95"] = [float(q) for q in np.quantile(known, (0.025, 0.975))] if known else None
    return found


def _within(score: np.ndarray, failed: np.ndarray, tasks: np.ndarray) -> float | None:
    """Compute the probability that a failure scores above a success of its task; None without a pair."""
    total, pairs = 0.0, 0
    for task in np.unique(tasks):
        mine = tasks == task
        count = int(failed[mine].sum() * (~failed[mine]).sum())
        if count:
            total, pairs = total + count * auroc(score[mine], failed[mine]), pairs + count
    return total / pairs if pairs else None


def _task_only(failed: np.ndarray, tasks: np.ndarray) -> float:
    """Compute the AUROC of a task's share of failures, without the failure and the success that it ranks."""
    names, of, n = np.unique(tasks, return_inverse=True, return_counts=True)
    count = np.bincount(of, failed, len(names))
    others = np.maximum(n - 1, 1)
    fails, wins = of[failed], of[~failed]
    above = ((count - 1) / others)[fails][:, None]
    below = (count / others)[wins][None, :]
    ranked = np.where(above == below, 0.5, above > below)
    return float(np.where(fails[:, None] == wins[None, :], 0.5, ranked).mean())


def _alarms(
    test: Sequence[WatchedEpisode],
    series: Mapping[str, Sequence[np.ndarray]],
    limits: EpisodeLimits,
    early: int,
) -> dict[str, Any]:
    first = [_first_above(values, limits.limit) for values in series["score"]]
    failures = [place for place, e in zip(first, test, strict=True) if not e.success]
    successes = [place for place, e in zip(first, test, strict=True) if e.success]
    alarms = [(i, place) for i, place in enumerate(first) if place is not None]
    lead = [test[i].steps - place * test[i].replan for i, place in alarms if not test[i].success]
    spread = np.quantile(lead, (0.1, 0.5, 0.9)).tolist() if lead else [None] * 3
    raised = [max(limits.signals, key=lambda name: series[name][i][place]) for i, place in alarms]
    return {
        "true_alarms": _share(failures, early),
        "false_alarms": _share(successes, early),
        "lead_steps": dict(zip(("p10", "p50", "p90"), spread, strict=True)),
        "raised_by": {name: raised.count(name) for name in limits.signals},
    }


def _first_above(values: np.ndarray, limit: float) -> int | None:
    above = np.flatnonzero(values > limit)
    return int(above[0]) if len(above) else None


def _share(first: Sequence[int | None], early: int) -> dict[str, Any]:
    """Compute the share of episodes with an alarm; ``first`` is the inference of the first one."""
    count = sum(place is not None for place in first)
    soon = sum(place is not None and place < early for place in first)
    return {
        "share": count / len(first),
        "ci95": list(wilson_interval(count, len(first))),
        "n": len(first),
        "early_share": soon / len(first),
    }
