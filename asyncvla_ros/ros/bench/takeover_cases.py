"""Others command the arm: a second publisher on its driver's topic, and a second controller."""

from __future__ import annotations

import signal
import time

from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import TRAJECTORY_TOPIC
from asyncvla_ros.ros.bench.estop_cases import first_braking
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_problems import latch_problems
from asyncvla_ros.ros.bench.fault_rig import HOLD_S, REST_S, Rig
from asyncvla_ros.ros.bench.graph import CONTROLLER, START_S
from asyncvla_ros.ros.controller.session import STATUS_PERIOD
from asyncvla_ros.ros.exit_codes import REFUSED

# For nodes of this machine to know a new publisher, and for the controller to look for one [s].
DISCOVERY_S = 0.1
LOOK_S = STATUS_PERIOD + DISCOVERY_S
# How a controller that finds another one says so.
REFUSAL = "others command this arm"
# For a second controller to start, and to refuse [s].
SECOND_S = 30.0
# A driver that is commanded by somebody else is told nothing for so long at least [s].
SILENT_S = 0.3


def add_publisher(rig: Rig, number: int, slack_s: float) -> Outcome:
    """Add a second publisher while the arm moves, remove it, then start a second controller."""
    record, node = rig.record, rig.observer.node
    rig.move()
    fault_ns = time.time_ns()
    publisher = node.create_publisher(JointTrajectory, TRAJECTORY_TOPIC, qos.COMMAND)
    limit_ms = 1e3 * (LOOK_S + slack_s)
    problems = _judge_takeover(rig, fault_ns, limit_ms)
    standstill_ms = (record.standstill_ns(fault_ns) - fault_ns) / 1e6
    entered_ns = record.entered_ns(Mode.FAULT, fault_ns)
    node.destroy_publisher(publisher)
    recovered_ms = _recover(rig)
    problems += _start_second(rig)
    return Outcome(
        problems=problems + rig.demand_problems(),
        recovered_ms=recovered_ms,
        held_ms=None if entered_ns is None else (entered_ns - fault_ns) / 1e6,
        limit_ms=limit_ms,
        standstill_ms=standstill_ms,
    )


def _judge_takeover(rig: Rig, fault_ns: int, limit_ms: float) -> list[str]:
    record = rig.record
    rig.observer.settle(lambda: record.entered_ns(Mode.FAULT, fault_ns) is not None, HOLD_S)
    rig.observer.settle(record.is_still, REST_S)
    _note_stop(rig, fault_ns)
    problems = latch_problems(record, fault_ns, limit_ms, Mode.FAULT, reason=Reason.TAKEOVER)
    since_ns = time.time_ns()
    time.sleep(SILENT_S)
    if any(told.arrived_ns >= since_ns for told in record.commands):
        problems.append("commands go on after the stop, against those of the other one")
    return problems


def _note_stop(rig: Rig, since_ns: int) -> None:
    """Apply the limits of an emergency stop, which a fault uses."""
    first = first_braking(rig, since_ns)
    if first is not None:
        rig.the_demand.allow_stop(rig.the_demand.entries[first].trajectory.start_ns)
        rig.the_demand.stop_over(time.monotonic_ns())


def _recover(rig: Rig) -> float:
    """Reset once the other publisher is gone; return the time until a command from a chunk [ms]."""
    rig.observer.settle(lambda: rig.observer.node.count_publishers(TRAJECTORY_TOPIC) == 1, START_S)
    # The controller knows a moment later, and looks in its own time.
    time.sleep(LOOK_S)
    reset_ns = rig.trigger("reset").asked_ns
    return (rig.wait_for_motion(reset_ns) - reset_ns) / 1e6


def _start_second(rig: Rig) -> list[str]:
    """Check that a second controller refuses to activate and that the first one stops."""
    record = rig.record
    rig.forget()
    since_ns = time.time_ns()
    rig.nodes.start("second", CONTROLLER, [], {"autostart": True, "robot": rig.contract})
    rig.observer.settle(lambda: REFUSAL in rig.nodes.tail("second"), SECOND_S)
    text = rig.nodes.tail("second")
    code = rig.nodes.end("second", signal.SIGINT)
    # One that refuses may be gone before the first one looks.
    if record.entered_ns(Mode.FAULT, since_ns) is not None:
        rig.observer.settle(record.is_still, REST_S)
        _note_stop(rig, since_ns)
        _recover(rig)
    if REFUSAL in text and code == REFUSED:
        return []
    return [f"the second controller was activated; it ended with exit code {code}"]
