"""An emergency stop at any moment of a motion: it is quick, and nothing goes faster because of it."""

from __future__ import annotations

import time

import numpy as np

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.robot.stops import stops
from asyncvla_ros.ros.bench.demand import GRID_NS, demand_between
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_problems import latch_problems, permitted_speeds, rise_problems
from asyncvla_ros.ros.bench.fault_rig import REST_S, Rig
from asyncvla_ros.ros.bench.graph import START_S
from asyncvla_ros.types import RunError

# A motion begins with an acceleration for so long [s].
BEGINNING_S = 0.25
# The demand is looked at for so much longer than a stop lasts [ns].
AFTER_NS = 100_000_000


def stop_in_motion(rig: Rig, number: int, slack_s: float) -> Outcome:
    """Stop while a motion begins if ``number`` is odd, else at any moment of it."""
    record, demand = rig.record, rig.the_demand
    _begin_motion(rig) if number % 2 else rig.move()
    demand.allow_stop(time.monotonic_ns())
    answer = rig.trigger("estop")
    rig.observer.settle(lambda: first_braking(rig, answer.asked_ns) is not None and record.is_still(), REST_S)
    first = first_braking(rig, answer.asked_ns)
    if first is None:
        raise RunError(f"no braking command within {REST_S:g} s")
    asked_ns, limit_ms = answer.asked_ns - demand.offset_ns, 1e3 * slack_s
    problems = latch_problems(record, answer.asked_ns, limit_ms, Mode.ESTOP, reason=Reason.ESTOP)
    times_ms = {
        "answer": (answer.came_ns - answer.asked_ns) / 1e6,
        "braking": (demand.entries[first].arrived_ns - asked_ns) / 1e6,
    }
    problems += [
        f"{name} after {time_ms:.1f} ms, limit {limit_ms:.1f} ms"
        for name, time_ms in times_ms.items()
        if time_ms > limit_ms
    ]
    rest_ns, worse = _follow_stop(rig, asked_ns, first)
    demand.stop_over(rest_ns)
    mended_ns = rig.trigger("reset").asked_ns
    recovered_ns = rig.wait_for_motion(mended_ns)
    return Outcome(
        problems=problems + worse + rig.demand_problems(),
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        held_ms=times_ms["braking"],
        limit_ms=limit_ms,
        standstill_ms=(rest_ns - asked_ns) / 1e6,
        times_ms=times_ms,
    )


def _begin_motion(rig: Rig) -> None:
    """Wait for a random moment while a motion begins."""
    rig.move()
    rig.the_demand.allow_stop(time.monotonic_ns())
    rig.trigger("estop")
    rig.observer.settle(rig.record.is_still, REST_S)
    rig.the_demand.stop_over(time.monotonic_ns())
    reset_ns = rig.trigger("reset").asked_ns
    rig.forget()
    rig.observer.wait(lambda: rig.record.tracked_ns(reset_ns) is not None, "motion", START_S)
    time.sleep(rig.rng.uniform(0.0, BEGINNING_S))


def first_braking(rig: Rig, asked_ns: int) -> int | None:
    """Return the log index of the first command of a stop requested at ``asked_ns`` [ns, system clock].

    Action commands say which ones are a hold; the trajectory of the same stamp is the same command.
    """
    held = {
        told.sent_ns
        for told in rig.record.commands
        if told.source == ActionCommand.SOURCE_HOLD and told.sent_ns >= asked_ns
    }
    entries = enumerate(rig.the_demand.entries)
    return next((place for place, entry in entries if entry.stamp_ns in held), None)


def _follow_stop(rig: Rig, asked_ns: int, first: int) -> tuple[int, list[str]]:
    """Return when the demand came to rest [ns, steady], and problems on its way there.

    Args:
        rig: With the log of the driver.
        asked_ns: When the stop was asked for [ns, steady].
        first: Which entry of the log is its first command.
    """
    entries = rig.the_demand.entries
    stop_s = max(one.emergency.time_s for one in stops(rig.robot))
    branch_ns = entries[first].trajectory.start_ns + rig.robot.command_period_ns
    latest_ns = branch_ns + round(1e9 * stop_s)
    demand = demand_between(entries, asked_ns, latest_ns + AFTER_NS)
    rest_ns = demand.rest_ns(branch_ns)
    problems = []
    if rest_ns is None or rest_ns > latest_ns + GRID_NS:
        problems.append(f"no rest within the {1e3 * stop_s:.0f} ms that a stop takes by the contract")
    rest_ns = latest_ns if rest_ns is None else rest_ns
    jerk = np.array([dof.stop_jerk for dof in rig.robot.dofs], float)
    permitted = permitted_speeds(entries[:first], asked_ns, branch_ns, jerk)
    return rest_ns, problems + rise_problems(demand.until(rest_ns), permitted)
