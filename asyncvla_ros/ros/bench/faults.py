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
from asyncvla_ros.core.controller_types import Reason
from asyncvla_ros.ros.bench.fault_record import TOLERANCE, is_tracked
from asyncvla_ros.ros.bench.fault_rig import ARM, Rig, running_rig
from asyncvla_ros.ros.bench.onlooker import tails
from asyncvla_ros.ros.bench.sweep_policy_node import SweepPolicy
from asyncvla_ros.ros.domain import isolated_domain
from asyncvla_ros.ros.middleware import fastdds_environment

# For a hold to come, and for arm and commands to stand still [s]: much longer than either may take.
HOLD_S, REST_S = 3.0, 5.0
CLOCK_BACK_S = 5.0
# Rounding of a command to float32 [rad].
ROUNDING = 1e-6


@dataclass(frozen=True)
class FaultSettings:
    """How often each fault is made.

    Attributes:
        kills: Times that the policy is killed.
        repeats: Times of each other fault.
        seed: Of the moments.
        grace_s: Added to every limit [s], for a machine that is busy with something else.
    """

    kills: int = 50
    repeats: int = 5
    seed: int = 0
    grace_s: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What one fault led to.

    Attributes:
        held_ms: From the fault to the first hold [ms]; None: there is nobody who could hold.
        limit_ms: What was permitted this time [ms].
        standstill_ms: From the fault to when the arm stands still [ms].
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


@dataclass(frozen=True)
class Fault:
    """A fault the controller lives through.

    Attributes:
        make: Makes it.
        timeout_s: Of what ends first without it [s].
        since_ns: Since when the timeout runs [ns, system clock], given when the fault was made.
        reasons: One of which the controller must give.
        mend: Ends it.
        ease: Lets the arm be measured before the fault ends.
    """

    make: Callable[[Rig], None]
    timeout_s: Callable[[Rig], float]
    since_ns: Callable[[Rig, int], int]
    reasons: frozenset[Reason]
    mend: Callable[[Rig], None]
    ease: Callable[[Rig], None] = lambda rig: None


def _chunk_ends_s(rig: Rig) -> float:
    """A chunk is stale, or executed to its end."""
    return min(rig.robot.chunk_timeout_s, SweepPolicy.chunk_size * rig.robot.step_ns / 1e9)


def _chunk_ns(rig: Rig, fault_ns: int) -> int:
    """When the last executed chunk was observed."""
    return max(told.observed_ns for told in rig.record.commands)


def _measured_ns(rig: Rig, fault_ns: int) -> int:
    return rig.record.measured_ns


def _set_clock_back(rig: Rig) -> None:
    assert rig.clock is not None
    rig.clock.set_back(CLOCK_BACK_S)


def _measure_again(rig: Rig) -> None:
    """Where nothing is measured, no measured pose can be held; with images there would be chunks at once."""
    rig.freeze(cameras=True, joints=True)
    rig.onlooker.settle(rig.record.is_still, REST_S)
    rig.freeze(cameras=True, joints=False)


DRY = frozenset({Reason.UNDERRUN, Reason.CHUNK_STALE})
FAULTS = {
    "policy_killed": Fault(
        make=lambda rig: _end(rig, "policy", signal.SIGKILL),
        timeout_s=_chunk_ends_s,
        since_ns=_chunk_ns,
        reasons=DRY,
        mend=lambda rig: rig.nodes.restart("policy"),
    ),
    "policy_frozen": Fault(
        make=lambda rig: rig.nodes.send_signal("policy", signal.SIGSTOP),
        timeout_s=_chunk_ends_s,
        since_ns=_chunk_ns,
        reasons=DRY,
        mend=lambda rig: rig.nodes.send_signal("policy", signal.SIGCONT),
    ),
    "cameras_frozen": Fault(
        make=lambda rig: rig.freeze(cameras=True, joints=False),
        timeout_s=_chunk_ends_s,
        since_ns=_chunk_ns,
        reasons=DRY,
        mend=lambda rig: rig.freeze(cameras=False, joints=False),
    ),
    "joint_states_frozen": Fault(
        make=lambda rig: rig.freeze(cameras=False, joints=True),
        timeout_s=lambda rig: rig.robot.observation_timeout_s,
        since_ns=_measured_ns,
        reasons=frozenset({Reason.OBSERVATION_STALE}),
        ease=_measure_again,
        mend=lambda rig: rig.freeze(cameras=False, joints=False),
    ),
}
SIM_FAULTS = {
    "clock_back": Fault(
        make=_set_clock_back,
        timeout_s=lambda rig: 0.0,
        since_ns=lambda rig, fault_ns: fault_ns,
        reasons=frozenset({Reason.CLOCK_JUMP}),
        mend=lambda rig: rig.freeze(cameras=False, joints=False),
    ),
}
RESTARTS = {"controller_killed": signal.SIGKILL, "controller_stopped": signal.SIGINT}


def bench_faults(settings: FaultSettings, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Makes each fault in a running graph, in the middle of a motion, and ends it again.

    Args:
        settings: How often.
        say: Gets a line for each fault made.

    Returns:
        For each case ``n``, ``passed``, ``problems`` and p50, p95, p99 and max of ``held_ms``,
        ``standstill_ms`` and ``recovered_ms``, with ``limit_ms`` of a hold, as designed; ``margin_ms`` is the
        smallest time left before what remained of it that time; ``pose_error_rad`` the largest.

    Raises:
        RunError: a node failed by itself, or the arm did not move again.
    """
    rng = np.random.default_rng(settings.seed)
    outcomes: dict[str, list[Outcome]] = {}
    limits_ms: dict[str, float | None] = {}
    with isolated_domain() as isolation:
        os.environ.update({**isolation, **fastdds_environment(processes=4)})
        for use_sim_time, faults in ((False, FAULTS), (True, SIM_FAULTS)):
            with running_rig(rng, use_sim_time) as rig:
                slack_s = 2 * rig.robot.period_ns / 1e9 + settings.grace_s
                cases: dict[str, Callable[[], Outcome]] = {
                    name: partial(_live_through, rig, fault, slack_s) for name, fault in faults.items()
                }
                limits_ms |= {name: 1e3 * (f.timeout_s(rig) + slack_s) for name, f in faults.items()}
                if not use_sim_time:
                    cases |= {name: partial(_restart, rig, n, slack_s) for name, n in RESTARTS.items()}
                    limits_ms |= {"controller_killed": None, "controller_stopped": 1e3 * slack_s}
                for name, make in cases.items():
                    times = settings.kills if name == "policy_killed" else settings.repeats
                    outcomes[name] = [_told(make(), f"{name} {n + 1}/{times}", say) for n in range(times)]
    figures: dict[str, Any] = {name: _summary(outcomes[name], limits_ms[name]) for name in outcomes}
    return {"cases": figures, "settings": asdict(settings), "arm": ARM}


def _told(outcome: Outcome, what: str, say: Callable[[str], None]) -> Outcome:
    held = "" if outcome.held_ms is None else f"held after {outcome.held_ms:.0f} ms, "
    say(f"{what}: {held}again after {outcome.recovered_ms:.0f} ms {'; '.join(outcome.problems)}".rstrip())
    return outcome


def _end(rig: Rig, name: str, number: signal.Signals) -> None:
    rig.nodes.end(name, number)


def _live_through(rig: Rig, fault: Fault, slack_s: float) -> Outcome:
    """One fault, from motion to motion."""
    record = rig.record
    if rig.clock is not None:
        # What is looked at is the clock: the rest of the chunk at hand would last much longer than the limit.
        rig.move()
        rig.freeze(cameras=True, joints=False)
        fault_ns = time.time_ns()
    else:
        fault_ns = rig.move()
    fault.make(rig)
    rig.onlooker.settle(lambda: record.held_ns(fault_ns) is not None, HOLD_S)
    since_ns = fault.since_ns(rig, fault_ns)
    fault.ease(rig)
    rig.onlooker.settle(record.is_held, REST_S)
    held_ns, error = record.held_ns(fault_ns), record.pose_error()
    limit_ms = (since_ns - fault_ns) / 1e6 + 1e3 * (fault.timeout_s(rig) + slack_s)
    problems = []
    if held_ns is None:
        problems.append("no hold")
    elif (held_ns - fault_ns) / 1e6 > limit_ms:
        problems.append(f"held after {(held_ns - fault_ns) / 1e6:.1f} ms, limit {limit_ms:.1f} ms")
    elif any(is_tracked(told, held_ns) for told in record.commands):
        problems.append("a command from a chunk came after the hold")
    if not record.is_held():
        problems.append(f"no rest at the measured pose: {error:.2g} rad from it")
    reasons = record.reasons(fault_ns)
    if not reasons & fault.reasons:
        problems.append(f"the reasons are {sorted(reason.name for reason in reasons)}")
    standstill_ns, mended_ns = record.standstill_ns(fault_ns), time.time_ns()
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


def _restart(rig: Rig, number: signal.Signals, slack_s: float) -> Outcome:
    """The controller ends by a signal and is started again."""
    record, problems = rig.record, []
    fault_ns = rig.move()
    rig.nodes.end("controller", number)
    rig.onlooker.settle(record.is_still, REST_S)
    standstill_ns, measured = record.standstill_ns(fault_ns), record.body[-1].positions
    held_ms = None
    if number is not signal.SIGKILL:
        held_ns = record.held_ns(fault_ns)
        held_ms = None if held_ns is None else (held_ns - fault_ns) / 1e6
        if held_ms is None or held_ms > 1e3 * slack_s:
            problems.append(f"held after {held_ms} ms, limit {1e3 * slack_s:.1f} ms")
        if record.commands[-1].source != ActionCommand.SOURCE_HOLD:
            problems.append("the last command is no hold")
    if not record.is_still():
        problems.append("the arm moves without a controller")
    record.forget()
    restarted_ns = time.time_ns()
    rig.nodes.restart("controller")
    recovered_ns = rig.wait_for_motion(restarted_ns)
    error = float(np.abs(record.commands[0].targets - measured).max())
    if error > TOLERANCE:
        problems.append(f"the first command is {error:.2g} rad from the measured pose")
    velocities = np.array([dof.velocity for dof in rig.robot.dofs], float)
    if (record.largest_steps() > velocities * rig.robot.period_ns / 1e9 + ROUNDING).any():
        problems.append(f"a command jumped by {record.largest_steps().max():.2g} rad")
    return Outcome(
        held_ms=held_ms,
        limit_ms=None if number is signal.SIGKILL else 1e3 * slack_s,
        standstill_ms=(standstill_ns - fault_ns) / 1e6,
        recovered_ms=(recovered_ns - restarted_ns) / 1e6,
        pose_error=error,
        problems=problems,
    )


def _summary(outcomes: list[Outcome], limit_ms: float | None) -> dict[str, Any]:
    held = [(one.held_ms, one.limit_ms) for one in outcomes]
    margins = [limit - time for time, limit in held if time is not None and limit is not None]
    return {
        "n": len(outcomes),
        "passed": sum(not one.problems for one in outcomes),
        "held_ms": _spread([one.held_ms for one in outcomes if one.held_ms is not None]),
        "limit_ms": limit_ms,
        "margin_ms": round(min(margins), 3) if margins else None,
        "standstill_ms": _spread([one.standstill_ms for one in outcomes]),
        "recovered_ms": _spread([one.recovered_ms for one in outcomes]),
        "pose_error_rad": max(one.pose_error for one in outcomes),
        "problems": sorted({problem for one in outcomes for problem in one.problems}),
    }


def _spread(values_ms: list[float]) -> dict[str, float] | None:
    return {**tails(values_ms), "max": round(max(values_ms), 3)} if values_ms else None
