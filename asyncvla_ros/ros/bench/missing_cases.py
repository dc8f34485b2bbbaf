"""Faults of other nodes: what the controller lacks, how long unnoticed, and its mending."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from asyncvla_ros.control.types import Reason
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_problems import hold_problems
from asyncvla_ros.ros.bench.fault_rig import HOLD_S, REST_S, Rig
from asyncvla_ros.ros.bench.sweep_policy_node import SweepPolicy

CLOCK_BACK_S = 5.0


def _nothing(rig: Rig) -> None:
    pass


@dataclass(frozen=True)
class Fault:
    """A fault the controller is there to see.

    Attributes:
        make: Makes it.
        mend: Ends it.
        timeout_s: How long the controller may go on without what it lacks [s].
        since_ns: Since when [ns, system clock], given when the fault was made; asked once it holds.
        reasons: Of which the controller must give one.
        prepare: Comes before, while the arm moves.
        ease: Comes when the arm is held, so that it can be held where it is measured.
    """

    make: Callable[[Rig], None]
    mend: Callable[[Rig], None]
    timeout_s: Callable[[Rig], float]
    since_ns: Callable[[Rig, int], int]
    reasons: frozenset[Reason]
    prepare: Callable[[Rig], None] = _nothing
    ease: Callable[[Rig], None] = _nothing


def _kill_policy(rig: Rig) -> None:
    rig.nodes.end("policy", signal.SIGKILL)


def _chunk_ends_s(rig: Rig) -> float:
    """Return when a chunk is stale or executed to its end [s]."""
    return min(rig.robot.chunk_timeout_s, SweepPolicy.chunk_size * rig.robot.action_period_ns / 1e9)


def _chunk_ns(rig: Rig, fault_ns: int) -> int:
    """Return when the last executed chunk was observed [ns]."""
    return max(told.observed_ns for told in rig.record.commands)


def _set_clock_back(rig: Rig) -> None:
    assert rig.clock is not None
    rig.clock.set_back(CLOCK_BACK_S)


def _measure_again(rig: Rig) -> None:
    """Unfreeze the joint states, for a hold at the measured pose, but no images, which would bring chunks."""
    rig.freeze(cameras=True, joints=True)
    rig.observer.settle(rig.record.is_still, REST_S)
    rig.freeze(cameras=True, joints=False)


def _freeze_cameras(rig: Rig) -> None:
    rig.freeze(cameras=True, joints=False)


def _thaw(rig: Rig) -> None:
    rig.freeze(cameras=False, joints=False)


DRY = frozenset({Reason.UNDERRUN, Reason.CHUNK_STALE})
FAULTS = {
    "policy_killed": Fault(
        make=_kill_policy,
        mend=lambda rig: rig.nodes.restart("policy"),
        timeout_s=_chunk_ends_s,
        since_ns=_chunk_ns,
        reasons=DRY,
    ),
    "policy_frozen": Fault(
        make=lambda rig: rig.nodes.send_signal("policy", signal.SIGSTOP),
        mend=lambda rig: rig.nodes.send_signal("policy", signal.SIGCONT),
        timeout_s=_chunk_ends_s,
        since_ns=_chunk_ns,
        reasons=DRY,
    ),
    "cameras_frozen": Fault(_freeze_cameras, _thaw, _chunk_ends_s, _chunk_ns, reasons=DRY),
    "joint_states_frozen": Fault(
        make=lambda rig: rig.freeze(cameras=False, joints=True),
        mend=_thaw,
        timeout_s=lambda rig: rig.robot.observation_timeout_s,
        since_ns=lambda rig, fault_ns: rig.record.measured_ns,
        reasons=frozenset({Reason.OBSERVATION_STALE}),
        ease=_measure_again,
    ),
}
SIM_FAULTS = {
    "clock_back": Fault(
        make=_set_clock_back,
        mend=_thaw,
        timeout_s=lambda rig: 0.0,
        since_ns=lambda rig, fault_ns: fault_ns,
        reasons=frozenset({Reason.CLOCK_JUMP}),
        # Else the policy would go on before the arm rests; what is left of its chunk outlasts the limit.
        prepare=_freeze_cameras,
    ),
}


def live_through(rig: Rig, number: int, slack_s: float, fault: Fault) -> Outcome:
    """Make and mend one fault that the controller is there to see."""
    record = rig.record
    rig.move()
    fault.prepare(rig)
    fault_ns = time.time_ns()
    fault.make(rig)
    rig.observer.settle(lambda: record.held_ns(fault_ns) is not None, HOLD_S)
    since_ns = fault.since_ns(rig, fault_ns)
    fault.ease(rig)
    rig.observer.settle(record.is_held, REST_S)
    limit_ms = (since_ns - fault_ns) / 1e6 + 1e3 * (fault.timeout_s(rig) + slack_s)
    problems = hold_problems(record, fault_ns, limit_ms, fault.reasons)
    held_ms, standstill_ns = record.held_ms(fault_ns), record.standstill_ns(fault_ns)
    error = record.pose_error()
    mended_ns = time.time_ns()
    fault.mend(rig)
    recovered_ns = rig.wait_for_motion(mended_ns)
    return Outcome(
        problems=problems,
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        held_ms=held_ms,
        limit_ms=limit_ms,
        standstill_ms=(standstill_ns - fault_ns) / 1e6,
        pose_error=error,
    )
