"""Violated expectations after a fault, from its record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.ros.bench.demand import Demand, ReceivedTrajectory, demand_between, state_at
from asyncvla_ros.ros.bench.fault_record import TOLERANCE, FaultRecord

# Of a command to float32 [rad].
ROUNDING = 1e-6
# Speeds are looked at every millisecond; between two looks they differ by less [rad/s].
SPEED_TOLERANCE = 1e-4


def hold_problems(
    record: FaultRecord, fault_ns: int, limit_ms: float, reasons: frozenset[Reason]
) -> list[str]:
    """Return the problems of the hold after a fault; empty: none.

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
    if record.goes_on(held_ns):
        problems.append("a command from a chunk came after the hold")
    if not record.is_held():
        problems.append(f"no rest at the measured pose, {record.pose_error():.2g} rad from it")
    return problems + reason_problems(given, reasons)


def reason_problems(given: set[Reason], expected: frozenset[Reason]) -> list[str]:
    """Return a problem if the controller gave none of the expected reasons."""
    if given & expected:
        return []
    wanted, found = (", ".join(sorted(one.name for one in some)) for some in (expected, given))
    return [f"the reason is {found or 'missing'}, expected {wanted}"]


def start_problems(record: FaultRecord, measured: np.ndarray, permitted: np.ndarray) -> list[str]:
    """Return the problems of the start of a motion; empty: none.

    Args:
        record: From the first command on.
        measured: (d,) where the arm stood [rad].
        permitted: (d,) largest change from one command to the next [rad].
    """
    problems = place_problems(record.commands[0].positions, measured)
    steps = record.largest_steps()
    if (steps > permitted + ROUNDING).any():
        problems.append(f"a command jumped by {steps.max():.2g} rad")
    return problems


def place_problems(first: np.ndarray, measured: np.ndarray) -> list[str]:
    """Return a problem if a first command (d,) is not where the arm was measured (d,) [rad]."""
    error = float(np.abs(first - measured).max())
    return [f"the first command is {error:.2g} rad from the measured pose"] if error > TOLERANCE else []


def latch_problems(
    record: FaultRecord, fault_ns: int, limit_ms: float, mode: Mode, reason: Reason
) -> list[str]:
    """Return problems of a latched mode: too late, another reason, or the arm moves on.

    Args:
        record: From before the fault until the arm rests.
        fault_ns: [ns, system clock].
        limit_ms: How long after it the mode may come [ms].
        mode: ESTOP or FAULT.
        reason: For it.
    """
    entered_ns = record.entered_ns(mode, fault_ns)
    if entered_ns is None:
        return [f"no {mode.name}"]
    problems = reason_problems(record.reasons(fault_ns, mode), frozenset({reason}))
    late_ms = (entered_ns - fault_ns) / 1e6
    if late_ms > limit_ms:
        problems.append(f"{mode.name} after {late_ms:.1f} ms, limit {limit_ms:.1f} ms")
    if record.goes_on(entered_ns):
        problems.append(f"a command from a chunk came after {mode.name}")
    if not record.is_still():
        problems.append("the arm does not rest")
    return problems


def permitted_speeds(
    sent: Sequence[ReceivedTrajectory], asked_ns: int, branch_ns: int, jerk: np.ndarray
) -> np.ndarray:
    """Return the (6,) highest speeds that an emergency stop permits [rad/s].

    ::

        asked ──────────── branch ─────────────────────────────────── rest
              what was sent        v may rise to v + a |a| / (2 jerk),
              goes on              since a is brought to 0 at no more than the stop's jerk; then it falls

    Args:
        sent: What came to the driver before the first command of the stop.
        asked_ns: When the stop was asked for [ns, steady].
        branch_ns: One command period after the stop's first command: until then the driver has that motion
            already [ns, steady].
        jerk: (6,) of the stop [rad/s³].
    """
    velocity, acceleration = state_at(sent[-1].trajectory, branch_ns)[1:]
    eased = velocity + acceleration * np.abs(acceleration) / (2 * jerk)
    before = demand_between(sent, asked_ns, branch_ns).speeds
    return np.maximum(before.max(axis=0), np.maximum(np.abs(velocity), np.abs(eased)))


def rise_problems(demand: Demand, permitted: np.ndarray) -> list[str]:
    """Return a problem if a joint was faster than (6,) ``permitted`` [rad/s] during the stop."""
    excess = demand.speeds.max(axis=0) - permitted
    if (excess > SPEED_TOLERANCE).any():
        joint = int(np.argmax(excess))
        highest = permitted[joint] + excess[joint]
        return [f"the speed rose to {highest:.3f} rad/s after the call, permitted {permitted[joint]:.3f}"]
    return []
