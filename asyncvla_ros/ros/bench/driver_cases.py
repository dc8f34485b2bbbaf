"""The driver of the arm: its drives go off, it is started again, or it comes late."""

from __future__ import annotations

import signal
import time

import numpy as np

from asyncvla_ros.control.robot_state import AGREEMENT
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.robot.motion_limits import following_limit
from asyncvla_ros.ros.bench.demand import ReceivedTrajectory
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_problems import place_problems, reason_problems
from asyncvla_ros.ros.bench.fault_rig import HOLD_S, REST_S, Rig, start_arm
from asyncvla_ros.ros.bench.graph import START_S

# How far a hand moves the arm while its drives are off, and how far away it is when a driver is started
# again [rad].
BY_HAND, ELSEWHERE = 0.6, 0.4
# How long a hand may take, and the command to follow it [s].
HAND_S = 10.0
# How long a driver does not listen though chunks come [s].
LATE_S = 1.5


def move_by_hand(rig: Rig, number: int, slack_s: float) -> Outcome:
    """Switch the drives off in motion, move the arm by hand, switch the drives on."""
    record = rig.record
    rig.move()
    fault_ns = time.time_ns()
    rig.set("arm", drives_on=False)
    # They are off when the call returns.
    limit_ms = (time.time_ns() - fault_ns) / 1e6 + 1e3 * slack_s
    rig.observer.settle(lambda: record.held_ns(fault_ns) is not None, HOLD_S)
    rig.observer.settle(record.is_still, REST_S)
    held_ms = record.held_ms(fault_ns)
    problems = ["no hold"] if held_ms is None else []
    if held_ms is not None and held_ms > limit_ms:
        problems.append(f"held after {held_ms:.1f} ms, limit {limit_ms:.1f} ms")
    before = record.body[-1].positions
    rig.set("arm", by_hand=BY_HAND if number % 2 else -BY_HAND)
    nearness = AGREEMENT * following_limit(rig.robot.dofs[0])
    rig.observer.settle(lambda: _has_followed(rig, before, nearness), HAND_S)
    error = record.pose_error()
    if not _has_followed(rig, before, nearness):
        problems.append(
            f"the command is {error:.2g} rad from where the hand left the arm, limit {nearness:.2g}"
        )
    problems += reason_problems(record.reasons(fault_ns), frozenset({Reason.DRIVER_NOT_READY}))
    mended_ns = time.time_ns()
    rig.set("arm", drives_on=True)
    recovered_ns = rig.wait_for_motion(mended_ns)
    rig.set("arm", by_hand=0.0)
    return Outcome(
        problems=problems + rig.demand_problems(),
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        held_ms=held_ms,
        limit_ms=limit_ms,
        pose_error=error,
    )


def _has_followed(rig: Rig, before: np.ndarray, nearness: float) -> bool:
    """Return whether the hand has moved the arm all the way, and the command is there."""
    record = rig.record
    moved = float(np.abs(record.body[-1].positions - before).min())
    return moved > BY_HAND - nearness and record.is_still() and record.pose_error() <= nearness


def restart_driver(rig: Rig, number: int, slack_s: float) -> Outcome:
    """Kill the driver, in motion if ``number`` is odd, else during a hold; restart it elsewhere."""
    record = rig.record
    rig.move()
    if not number % 2:
        rig.freeze(cameras=True, joints=False)
        rig.observer.settle(record.is_held, REST_S)
    rig.nodes.end("arm", signal.SIGKILL)
    place = _elsewhere(record.body[-1].positions)
    problems = rig.demand_problems()
    rig.forget()
    restarted_ns = time.time_ns()
    start_arm(rig.nodes, rig.kind, {"place": place})
    rig.observer.wait(lambda: _first(rig, restarted_ns) is not None, "trajectory", START_S)
    rig.freeze(cameras=False, joints=False)
    return _move_again(rig, restarted_ns, place, problems)


def come_late(rig: Rig, number: int, slack_s: float) -> Outcome:
    """Send chunks for a while before the driver listens."""
    record = rig.record
    rig.move()
    place = _elsewhere(record.body[-1].positions)
    rig.nodes.end("controller", signal.SIGINT)
    rig.nodes.end("arm", signal.SIGINT)
    problems = rig.demand_problems()
    rig.forget()
    record.accepted = 0
    start_arm(rig.nodes, rig.kind, {"place": place, "is_listening": False})
    restarted_ns = time.time_ns()
    rig.nodes.restart("controller")
    rig.observer.wait(lambda: record.accepted > 0 and _is_unheard(rig), "chunk while NOT_HEARD", START_S)
    time.sleep(LATE_S)
    if record.entered_ns(Mode.TRACKING, restarted_ns) is not None:
        problems.append("TRACKING though nobody listens")
    if not record.is_still():
        problems.append("the arm moved though its driver did not listen")
    mended_ns = time.time_ns()
    rig.set("arm", is_listening=True)
    return _move_again(rig, mended_ns, place, problems)


def _is_unheard(rig: Rig) -> bool:
    return Reason.NOT_HEARD in rig.record.reasons(0, Mode.IDLE)


def _elsewhere(positions: np.ndarray) -> float:
    """Return another place for all joints, towards the middle of their range [rad]."""
    mean = float(positions.mean())
    return round(mean - float(np.copysign(ELSEWHERE, mean)), 3)


def _first(rig: Rig, since_ns: int) -> ReceivedTrajectory | None:
    """Return the first trajectory that arrived since ``since_ns`` [ns, system clock]."""
    demand = rig.the_demand
    came = (one for one in demand.entries if one.arrived_ns + demand.offset_ns >= since_ns)
    return next((one for one in came if not one.is_begin), None)


def _move_again(rig: Rig, mended_ns: int, place: float, problems: list[str]) -> Outcome:
    """Check that the first trajectory since ``mended_ns`` [ns, system clock] begins at ``place`` [rad]."""
    recovered_ns = rig.wait_for_motion(mended_ns)
    first = _first(rig, mended_ns)
    assert first is not None
    begin = first.trajectory.positions[0]
    measured = np.full(len(begin), place)
    return Outcome(
        problems=problems + place_problems(begin, measured) + rig.demand_problems(),
        recovered_ms=(recovered_ns - mended_ns) / 1e6,
        pose_error=float(np.abs(begin - measured).max()),
        times_ms={"first_command": (first.arrived_ns + rig.the_demand.offset_ns - mended_ns) / 1e6},
    )
