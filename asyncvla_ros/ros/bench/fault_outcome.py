"""Outcome of a fault, and metrics of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncvla_ros.ros.bench.observer import tails


@dataclass(frozen=True)
class Outcome:
    """Outcome of one fault.

    Attributes:
        problems: Violated expectations; empty: passed.
        recovered_ms: From the end of the fault to the first command from a chunk [ms]; None: none came.
        held_ms: From the fault to the first hold [ms]; None: there was none, or nobody who could hold.
        limit_ms: What was permitted this time [ms]; None: there was nobody who could hold.
        standstill_ms: From the fault to when the arm stood still [ms]; None: it was not asked to.
        pose_error: Of the held pose, or of the first command after a restart, to the measured one [rad].
        times_ms: Other times, by name [ms].
    """

    problems: Sequence[str]
    recovered_ms: float | None
    held_ms: float | None = None
    limit_ms: float | None = None
    standstill_ms: float | None = None
    pose_error: float | None = None
    times_ms: Mapping[str, float] = field(default_factory=dict)


def summary(outcomes: Sequence[Outcome], limit_s: float | None, stalled: int = 0) -> dict[str, Any]:
    """Compute the metrics of one case.

    Args:
        outcomes: Outcomes that count.
        limit_s: Limit of a hold by design [s]; None: nobody could hold.
        stalled: Failed tries during which the machine stood still; they were made again.
    """
    held = [(one.held_ms, one.limit_ms) for one in outcomes]
    margins = [limit - time for time, limit in held if time is not None and limit is not None]
    errors = [one.pose_error for one in outcomes if one.pose_error is not None]
    names = list(dict.fromkeys(name for one in outcomes for name in one.times_ms))
    times = {name: [one.times_ms[name] for one in outcomes if name in one.times_ms] for name in names}
    return {
        "n": len(outcomes),
        "passed": sum(not one.problems for one in outcomes),
        "stalled": stalled,
        "held_ms": _spread([one.held_ms for one in outcomes]),
        "limit_ms": None if limit_s is None else round(1e3 * limit_s, 3),
        "margin_ms": round(min(margins), 3) if margins else None,
        "standstill_ms": _spread([one.standstill_ms for one in outcomes]),
        "recovered_ms": _spread([one.recovered_ms for one in outcomes]),
        "pose_error_rad": max(errors, default=None),
        "problems": sorted({problem for one in outcomes for problem in one.problems}),
        **{f"{name}_ms": _spread(values) for name, values in times.items()},
    }


def _spread(values_ms: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values_ms if value is not None]
    return {**tails(known), "max": round(max(known), 3)} if known else None
