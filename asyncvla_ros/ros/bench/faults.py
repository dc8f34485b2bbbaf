"""``asyncvla bench faults``: what the arm does when something else dies, freezes or goes wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.types import Reason
from asyncvla_ros.ros.bench.fault_cases import FAULTS, REST_S, SIM_FAULTS, Fault
from asyncvla_ros.ros.bench.fault_record import TOLERANCE, Record, is_tracked
from asyncvla_ros.ros.bench.fault_rig import ARM, Rig, running_rig
from asyncvla_ros.ros.bench.onlooker import tails
from asyncvla_ros.ros.domain import isolated_domain
from asyncvla_ros.ros.middleware import fastdds_environment, udp_environment

# For a hold to come [s]: much longer than any limit.
HOLD_S = 3.0
# Of a command to float32 [rad].
ROUNDING = 1e-6
# How the controller ends before it is started again.
RESTARTS = {"controller_killed": signal.SIGKILL, "controller_stopped": signal.SIGINT}
CASES = (*FAULTS, *RESTARTS, *SIM_FAULTS)


@dataclass(frozen=True)
class FaultSettings:
    """How often each fault is made.

    Attributes:
        kills: Times that the policy is killed.
        repeats: Times of each other fault.
        seed: Of the moments.
        grace_s: Added to each limit [s], on a machine that is busy with something else.
    """

    kills: int = 50
    repeats: int = 5
    seed: int = 0
    grace_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What one fault led to.

    Attributes:
        held_ms: From the fault to the first hold [ms]; None: there was none, or nobody who could hold.
        limit_ms: What was permitted this time [ms]; None: there was nobody who could hold.
        standstill_ms: From the fault to when the arm stood still [ms].
        recovered_ms: From the end of the fault to the first command from a chunk [ms].
        pose_error: Of the held pose, or of the first command after a restart, to the measured one [rad].
        problems: What must not be; empty: passed.
    """

    held_ms: float | None
    limit_ms: float | None
    standstill_ms: float
    recovered_ms: float
    pose_error: float
    problems: list[str]


def bench_faults(settings: FaultSettings, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Makes each fault in a running graph, in the middle of a motion, and ends it again.

    Args:
        settings: How often.
        say: Gets a line for each fault made.

    Returns:
        For each of ``CASES``: ``n``, ``passed``, ``problems``; p50, p95, p99 and max of ``held_ms``,
        ``standstill_ms`` and ``recovered_ms``; ``limit_ms`` of a hold by design; ``margin_ms``, the least
        that was left of what was permitted that time; the largest ``pose_error_rad``. And ``settings``,
        ``arm``.

    Raises:
        RunError: a node failed by itself, or the arm did not move again.
    """
    rng = np.random.default_rng(settings.seed)
    figures: dict[str, Any] = {}
    with isolated_domain() as isolation:
        os.environ.update(isolation)
        images = {**isolation, **fastdds_environment(processes=2)}
        os.environ.update(udp_environment())
        with running_rig(rng, images) as rig:
            slack_s = 2 * rig.robot.period_ns / 1e9 + settings.grace_s
            for name, fault in FAULTS.items():
                times = settings.kills if name == "policy_killed" else settings.repeats
                limit_s = fault.timeout_s(rig) + slack_s
                figures[name] = _repeat(
                    name, times, limit_s, partial(_live_through, rig, fault, slack_s), say
                )
            for name, number in RESTARTS.items():
                permitted_s = None if number is signal.SIGKILL else slack_s
                make = partial(_restart, rig, number, permitted_s)
                figures[name] = _repeat(name, settings.repeats, permitted_s, make, say)
        with running_rig(rng, images, use_sim_time=True) as rig:
            for name, fault in SIM_FAULTS.items():
                limit_s = fault.timeout_s(rig) + slack_s
                make = partial(_live_through, rig, fault, slack_s)
                figures[name] = _repeat(name, settings.repeats, limit_s, make, say)
    return {**figures, "settings": asdict(settings), "arm": ARM}


def _repeat(
    name: str, times: int, limit_s: float | None, make: Callable[[], Outcome], say: Callable[[str], None]
) -> dict[str, Any]:
    outcomes = []
    for number in range(1, times + 1):
        one = make()
        held = "" if one.held_ms is None else f"held after {one.held_ms:.0f} ms, "
        problems = "".join(f"; {problem}" for problem in one.problems)
        say(f"{name} {number}/{times}: {held}moved again after {one.recovered_ms:.0f} ms{problems}")
        outcomes.append(one)
    return summary(outcomes, limit_s)


def _live_through(rig: Rig, fault: Fault, slack_s: float) -> Outcome:
    """One fault the controller is there to see, from motion to motion."""
    record = rig.record
    rig.move()
    fault.prepare(rig)
    fault_ns = time.time_ns()
    fault.make(rig)
    rig.onlooker.settle(lambda: record.held_ns(fault_ns) is not None, HOLD_S)
    since_ns = fault.since_ns(rig, fault_ns)
    fault.ease(rig)
    rig.onlooker.settle(record.is_held, REST_S)
    limit_ms = (since_ns - fault_ns) / 1e6 + 1e3 * (fault.timeout_s(rig) + slack_s)
    problems = hold_problems(record, fault_ns, limit_ms, fault.reasons)
    held_ns, standstill_ns, error = (
        record.held_ns(fault_ns),
        record.standstill_ns(fault_ns),
        record.pose_error(),
    )
    mended_ns = time.time_ns()
    fault.mend(rig)
    recovered_ns = rig.wait_for_motion(mended_ns)
    return Outcome(
        held_ms=None if held_ns is None else (held_ns - fault_ns) / 1e6,
        limit_ms=limit_ms,
        standstill_ms=(standstill_ns - fault_ns) / 1e6,
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        pose_error=error,
        problems=problems,
    )


def hold_problems(record: Record, fault_ns: int, limit_ms: float, reasons: frozenset[Reason]) -> list[str]:
    """What is wrong with the hold after a fault; empty: nothing.

    Args:
        record: From before the fault until the arm rests.
        fault_ns: [ns, system clock].
        limit_ms: How long after it a hold may begin [ms].
        reasons: The controller must give one of them.
    """
    problems = []
    held_ns, given = record.held_ns(fault_ns), record.reasons(fault_ns)
    if held_ns is None:
        return ["no hold"]
    held_ms = (held_ns - fault_ns) / 1e6
    if held_ms > limit_ms:
        problems.append(f"held after {held_ms:.1f} ms, limit {limit_ms:.1f} ms")
    if any(is_tracked(told, held_ns) for told in record.commands):
        problems.append("a command from a chunk came after the hold")
    if not record.is_held():
        problems.append(f"no rest at the measured pose, {record.pose_error():.2g} rad from it")
    if not given & reasons:
        expected, found = (", ".join(sorted(one.name for one in some)) for some in (reasons, given))
        problems.append(f"the reason is {found or 'missing'}, expected {expected}")
    return problems


def _restart(rig: Rig, number: signal.Signals, limit_s: float | None) -> Outcome:
    """The controller ends by a signal and is started again; ``limit_s`` [s] for its last hold to begin."""
    record = rig.record
    rig.move()
    fault_ns = time.time_ns()
    rig.nodes.end("controller", number)
    rig.onlooker.settle(record.is_still, REST_S)
    held_ns, standstill_ns, measured = None, record.standstill_ns(fault_ns), record.body[-1].positions
    problems = [] if record.is_still() else ["the arm moves without a controller"]
    if limit_s is not None:
        held_ns = record.held_ns(fault_ns)
        if held_ns is None or held_ns - fault_ns > 1e9 * limit_s:
            problems.append(f"no hold within {1e3 * limit_s:g} ms")
        if record.commands[-1].source != ActionCommand.SOURCE_HOLD:
            problems.append("the last command is no hold")
    record.forget()
    restarted_ns = time.time_ns()
    rig.nodes.restart("controller")
    recovered_ns = rig.wait_for_motion(restarted_ns)
    permitted = np.array([dof.velocity for dof in rig.robot.dofs], float) * rig.robot.period_ns / 1e9
    return Outcome(
        held_ms=None if held_ns is None else (held_ns - fault_ns) / 1e6,
        limit_ms=None if limit_s is None else 1e3 * limit_s,
        standstill_ms=(standstill_ns - fault_ns) / 1e6,
        recovered_ms=(recovered_ns - restarted_ns) / 1e6,
        pose_error=float(np.abs(record.commands[0].targets - measured).max()),
        problems=problems + start_problems(record, measured, permitted),
    )


def start_problems(record: Record, measured: np.ndarray, permitted: np.ndarray) -> list[str]:
    """What is wrong with how a motion began; empty: nothing.

    Args:
        record: From the first command on.
        measured: (d,) where the arm stood [rad].
        permitted: (d,) largest change from one command to the next [rad].
    """
    problems = []
    error = float(np.abs(record.commands[0].targets - measured).max())
    if error > TOLERANCE:
        problems.append(f"the first command is {error:.2g} rad from the measured pose")
    steps = record.largest_steps()
    if (steps > permitted + ROUNDING).any():
        problems.append(f"a command jumped by {steps.max():.2g} rad")
    return problems


def summary(outcomes: list[Outcome], limit_s: float | None) -> dict[str, Any]:
    """The figures of one case; ``limit_s`` of a hold by design [s]."""
    held = [(one.held_ms, one.limit_ms) for one in outcomes]
    margins = [limit - time for time, limit in held if time is not None and limit is not None]
    return {
        "n": len(outcomes),
        "passed": sum(not one.problems for one in outcomes),
        "held_ms": _spread([one.held_ms for one in outcomes if one.held_ms is not None]),
        "limit_ms": None if limit_s is None else round(1e3 * limit_s, 3),
        "margin_ms": round(min(margins), 3) if margins else None,
        "standstill_ms": _spread([one.standstill_ms for one in outcomes]),
        "recovered_ms": _spread([one.recovered_ms for one in outcomes]),
        "pose_error_rad": max(one.pose_error for one in outcomes),
        "problems": sorted({problem for one in outcomes for problem in one.problems}),
    }


def _spread(values_ms: list[float]) -> dict[str, float] | None:
    return {**tails(values_ms), "max": round(max(values_ms), 3)} if values_ms else None
