"""The controller itself ends, or stands still, while the arm moves."""

from __future__ import annotations

import signal
import time

import numpy as np

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.drive import GAP_PERIODS
from asyncvla_ros.robot.stops import stops
from asyncvla_ros.ros.bench.demand import demand_between
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_problems import start_problems
from asyncvla_ros.ros.bench.fault_rig import REST_S, Rig

# How long it stands still [ms].
FREEZES_MS = (50, 100, 350, 2000)


def restart(rig: Rig, number: int, slack_s: float, ending: signal.Signals) -> Outcome:
    """End the controller by a signal and restart it; SIGINT leaves it time for a last hold."""
    record, limit_s = rig.record, None if ending is signal.SIGKILL else slack_s
    rig.move()
    fault_ns = time.time_ns()
    rig.nodes.end("controller", ending)
    rig.observer.settle(record.is_still, REST_S)
    held_ms, standstill_ns, measured = None, record.standstill_ns(fault_ns), record.body[-1].positions
    problems = [] if record.is_still() else ["the arm moves without a controller"]
    if limit_s is not None:
        held_ms = record.held_ms(fault_ns)
        if held_ms is None or held_ms > 1e3 * limit_s:
            problems.append(f"no hold within {1e3 * limit_s:g} ms")
        if record.commands[-1].source != ActionCommand.SOURCE_HOLD:
            problems.append("the last command is no hold")
    record.forget()
    restarted_ns = time.time_ns()
    rig.nodes.restart("controller")
    recovered_ns = rig.wait_for_motion(restarted_ns)
    permitted = np.array([dof.velocity for dof in rig.robot.dofs], float) * rig.robot.command_period_ns / 1e9
    return Outcome(
        problems=problems + start_problems(record, measured, permitted),
        recovered_ms=(recovered_ns - restarted_ns) / 1e6,
        held_ms=held_ms,
        limit_ms=None if limit_s is None else 1e3 * limit_s,
        standstill_ms=(standstill_ns - fault_ns) / 1e6,
        pose_error=float(np.abs(record.commands[0].positions - measured).max()),
    )


def rest_limit_s(rig: Rig, slack_s: float) -> float:
    """Return how long the arm may move after the last command [s].

    ::

        last command ── period ── what the tracker goes on for ── stop of the motion's limits ── rest
    """
    worst_s = max(one.hold.time_s for one in stops(rig.robot))
    return (1 + GAP_PERIODS) * rig.robot.command_period_ns / 1e9 + worst_s + slack_s


def freeze(rig: Rig, number: int, slack_s: float, freeze_ms: int) -> Outcome:
    """Stop the controller's process for ``freeze_ms`` [ms]; its driver follows the last trajectory."""
    demand, problems = rig.the_demand, []
    rig.move()
    fault_ns = time.time_ns()
    rig.nodes.send_signal("controller", signal.SIGSTOP)
    time.sleep(freeze_ms / 1e3)
    mended_ns = time.time_ns()
    rig.nodes.send_signal("controller", signal.SIGCONT)
    recovered_ns = rig.wait_for_motion(mended_ns)
    begin_ns, end_ns = fault_ns - demand.offset_ns, mended_ns - demand.offset_ns
    limit_ms, standstill_ms = 1e3 * rest_limit_s(rig, slack_s), None
    if freeze_ms > limit_ms:
        rest_ns = demand_between(demand.entries, begin_ns, end_ns).rest_ns(begin_ns)
        standstill_ms = None if rest_ns is None else (rest_ns - begin_ns) / 1e6
        if standstill_ms is None or standstill_ms > limit_ms:
            problems.append(f"no rest within {limit_ms:.1f} ms without commands")
    return Outcome(
        problems=problems + rig.demand_problems(),
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        limit_ms=limit_ms if freeze_ms > limit_ms else None,
        standstill_ms=standstill_ms,
    )
