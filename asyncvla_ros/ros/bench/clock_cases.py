"""The system clock is set while the arm moves: what the controller stops, it stops on a steady clock."""

from __future__ import annotations

import time

from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.robot.stops import stops
from asyncvla_ros.ros.bench.fault_clocks import clock_offset_ns
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_problems import hold_problems
from asyncvla_ros.ros.bench.fault_rig import HOLD_S, REST_S, Rig

# By how much it is set [s]: longer than any timeout.
STEP_S = 3.0
# Between two commands that are never to cease.
GAP_PERIODS = 2
# An emergency stop is asked for so long after the step, at most [s]: before the arm rests.
ESTOP_S = 0.05
# To freeze the cameras may take so long, or the chunk would end before the step [s].
FREEZE_S = 0.1
# By how much, and what the controller may say of it.
STEPS = {
    "system_clock_back": (-STEP_S, frozenset({Reason.CLOCK_JUMP})),
    "system_clock_forward": (
        STEP_S,
        frozenset({Reason.CHUNK_STALE, Reason.OBSERVATION_STALE, Reason.UNDERRUN}),
    ),
}


def set_clock(rig: Rig, number: int, slack_s: float, by_s: float, reasons: frozenset[Reason]) -> Outcome:
    """Set the clock in motion, so that the arm is held; then once more, with an emergency stop meanwhile."""
    record, orders = rig.record, rig.the_orders
    step_ns, begin_ns = _step(rig, by_s)
    rig.observer.settle(lambda: record.held_ns(step_ns) is not None, HOLD_S)
    rig.observer.settle(record.is_held, REST_S)
    limit_ms = 1e3 * slack_s
    problems = hold_problems(record, step_ns, limit_ms, reasons)
    held_ms, standstill_ns, error = (
        record.held_ms(step_ns),
        record.standstill_ns(step_ns),
        record.pose_error(),
    )
    mended_ns = time.time_ns()
    rig.set("cameras", frozen_cameras=False)
    recovered_ns = rig.wait_for_motion(mended_ns)
    gaps = [orders.longest_gap_ns(begin_ns, time.monotonic_ns())]
    problems += orders.problems()
    stop_ms, gap_ns, worse = _stop_meanwhile(rig, by_s, slack_s)
    gaps.append(gap_ns)
    limit_gap_ns = GAP_PERIODS * rig.robot.command_period_ns
    if max(gaps) > limit_gap_ns:
        problems.append(f"no command for {max(gaps) / 1e6:.1f} ms, limit {limit_gap_ns / 1e6:.1f} ms")
    return Outcome(
        problems=problems + worse + orders.problems(),
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        held_ms=held_ms,
        limit_ms=limit_ms,
        standstill_ms=(standstill_ns - step_ns) / 1e6,
        pose_error=error,
        times_ms={"longest_gap": max(gaps) / 1e6, "stop": stop_ms},
    )


def _step(rig: Rig, by_s: float) -> tuple[int, int]:
    """Set the clock in motion; return when [ns, system clock] and [ns, steady].

    Images cease shortly before: else the first chunk of the new time would come before the arm rests.
    """
    while True:
        rig.move()
        began_s = time.monotonic()
        rig.set("cameras", frozen_cameras=True)
        if time.monotonic() - began_s < FREEZE_S:
            break
        rig.set("cameras", frozen_cameras=False)
    at_ns = rig.the_system_clock.step(by_s)
    time.sleep(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))
    return at_ns + clock_offset_ns(), at_ns


def _stop_meanwhile(rig: Rig, by_s: float, slack_s: float) -> tuple[float, int, list[str]]:
    """Stop right after the step; return how long it took [ms], the longest gap [ns], and problems."""
    record, orders = rig.record, rig.the_orders
    _, begin_ns = _step(rig, by_s)
    time.sleep(rig.rng.uniform(0.0, ESTOP_S))
    asked_ns = rig.trigger("estop").asked_ns
    rig.observer.settle(record.is_still, REST_S)
    stop_ms = (record.standstill_ns(asked_ns) - asked_ns) / 1e6
    limit_ms = 1e3 * (max(one.emergency.time_s for one in stops(rig.robot)) + rig.robot.lag_s + slack_s)
    problems = [] if record.is_still() else ["the emergency stop did not run to its end"]
    if stop_ms > limit_ms:
        problems.append(f"stopped after {stop_ms:.1f} ms, limit {limit_ms:.1f} ms")
    if Reason.ESTOP not in record.reasons(asked_ns, Mode.ESTOP):
        problems.append("no ESTOP")
    rig.set("cameras", frozen_cameras=False)
    reset_ns = rig.trigger("reset").asked_ns
    rig.wait_for_motion(reset_ns)
    return stop_ms, orders.longest_gap_ns(begin_ns, time.monotonic_ns()), problems
