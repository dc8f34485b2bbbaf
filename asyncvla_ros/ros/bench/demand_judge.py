"""Check, through all faults, whether the drivers' demand keeps every limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.bench.safety_audit import DriverAudit
from asyncvla_ros.bench.safety_drivers import TrajectoryDriver
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.ros.bench.arm import JOINTS
from asyncvla_ros.ros.bench.demand import GRID_NS, ReceivedTrajectory, received
from asyncvla_ros.ros.bench.fault_clocks import clock_offset_ns

FROM_DESIRED, FROM_MEASURED = "trajectory_from_desired", "trajectory_from_measured"
ACTION_COMMAND = "action_command"
# Why a driver refuses a trajectory that was too long on its way.
LATE = "it ends in the past"
# Entries of the log that are kept from before a fault.
KEPT = 200


class Verdicts:
    """Limits broken since the last query, by driver model."""

    def __init__(self, audits: Mapping[str, DriverAudit]):
        self.audits = audits
        self._told = {name: dict(audit.violations) for name, audit in audits.items()}

    def problems(self) -> list[str]:
        """Return the new violations; empty: none."""
        lines = []
        for name, audit in self.audits.items():
            new = {kind: count - self._told[name][kind] for kind, count in audit.violations.items()}
            self._told[name] = dict(audit.violations)
            broken = ", ".join(kind for kind, count in new.items() if count)
            if broken:
                lines.append(f"{name}: the demand broke limits of {broken}")
        return lines

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of each model, see ``DriverAudit.metrics``."""
        return {name: audit.metrics() for name, audit in self.audits.items()}


class DemandJudge:
    """Judge trajectories by two drivers: one begins at the demanded, one at the measured position.

    Time is steady: the system clock, of which stamps and arrivals are, is converted once.

    Args:
        robot: A contract with one output of trajectories.
    """

    def __init__(self, robot: RobotContract):
        output = _output(robot, "joint_trajectory")
        self.offset_ns = clock_offset_ns()
        self.entries: list[ReceivedTrajectory] = []
        self._drivers = {
            name: TrajectoryDriver(interpolate_from_desired=name == FROM_DESIRED)
            for name in (FROM_DESIRED, FROM_MEASURED)
        }
        self._audits = {name: DriverAudit(robot, output, GRID_NS) for name in self._drivers}
        self._verdicts = Verdicts(self._audits)
        self._measured: np.ndarray = np.zeros(len(JOINTS))
        self._lead_ns = robot.command_period_ns
        self._latest_ns = self._judged = 0
        self._refusals: set[str] = set()
        self._is_begun = False

    def note_entry(self, entry: JointTrajectory, now_ns: int) -> None:
        """Keep an entry of the driver's log."""
        self.entries.append(received(entry, self._measured, self.offset_ns))

    def note_body(self, message: JointState, now_ns: int) -> None:
        """Keep the joint positions."""
        self._measured = np.asarray(message.position, float)

    def forget(self) -> None:
        """Drop all but the newest entries before a new fault; call ``problems`` first."""
        surplus = min(self._judged, len(self.entries) - KEPT)
        if surplus > 0:
            del self.entries[:surplus]
            self._judged -= surplus

    def allow_stop(self, at_ns: int) -> None:
        """Apply the limits of an emergency stop from ``at_ns`` [ns, steady] on."""
        for audit in self._audits.values():
            audit.allow_stop(at_ns)

    def stop_over(self, at_ns: int) -> None:
        """Note that the emergency stop is over at ``at_ns`` [ns, steady]."""
        for audit in self._audits.values():
            audit.stop_over(at_ns)

    def problems(self, until_ns: int) -> list[str]:
        """Return the violations since the last call, until ``until_ns`` [ns, steady]."""
        while self._judged < len(self.entries):
            self._receive(self.entries[self._judged])
            self._judged += 1
        for name, audit in self._audits.items():
            if self._is_begun:
                audit.watch(self._drivers[name], until_ns)
                audit.finish()
        problems = self._verdicts.problems()
        if problems and self._latest_ns > self._lead_ns:
            late_ms, lead_ms = (time_ns / 1e6 for time_ns in (self._latest_ns, self._lead_ns))
            problems.append(
                f"a trajectory came {late_ms:.0f} ms after its stamp, joined until {lead_ms:.0f} ms"
            )
        problems += [f"a driver refused a trajectory: {reason}" for reason in sorted(self._refusals)]
        self._latest_ns, self._refusals = 0, set()
        return problems

    def _receive(self, entry: ReceivedTrajectory) -> None:
        arrived_ns, way = entry.arrived_ns, entry.trajectory
        if not entry.is_begin:
            self._latest_ns = max(self._latest_ns, arrived_ns - way.start_ns)
        is_coming = way.start_ns + int(way.times_ns[0]) > arrived_ns
        for name, driver in self._drivers.items():
            audit = self._audits[name]
            if entry.is_begin:
                driver.restart(arrived_ns, way.positions[0])
                audit.suspend(arrived_ns)
                continue
            driver.measure(entry.measured)
            refusal = driver.receive(arrived_ns, way)
            # One that is that late changes nothing.
            self._refusals |= {refusal} - {"", LATE}
            # One that begins where it measures jumps there by itself.
            if not self._is_begun or (is_coming and name == FROM_MEASURED):
                audit.begin(arrived_ns, np.full(len(JOINTS), np.nan))
        self._is_begun = not entry.is_begin

    def metrics(self) -> dict[str, Any]:
        """Return samples, violations, largest jump [rad] and largest shares of the limits by model."""
        return self._verdicts.metrics()


class CommandJudge:
    """Judge action commands by the controller's log: a driver goes to each one when it was sent.

    Args:
        robot: A contract with action commands.
    """

    def __init__(self, robot: RobotContract):
        self._audit = DriverAudit(robot, _output(robot, ACTION_COMMAND), is_float32=True)
        self._verdicts = Verdicts({ACTION_COMMAND: self._audit})
        #: When the commands since ``forget`` were sent [ns, steady].
        self.sent_ns: list[int] = []
        self._values: list[np.ndarray] = []
        self._judged = 0
        self._is_begun = False

    def note_sent(self, entry: JointState, now_ns: int) -> None:
        """Keep a command, stamped in steady time."""
        self._values.append(np.asarray(entry.position, float))
        self.sent_ns.append(to_ns(entry.header.stamp))

    def forget(self) -> None:
        """Drop what was judged before a new fault; call ``problems`` first."""
        del self.sent_ns[: self._judged], self._values[: self._judged]
        self._judged = 0

    def problems(self) -> list[str]:
        """Return the violations since the last call."""
        count = len(self.sent_ns)
        for sent_ns, values in zip(
            self.sent_ns[self._judged : count], self._values[self._judged : count], strict=True
        ):
            if not self._is_begun:
                self._audit.begin(sent_ns, np.full(len(JOINTS), np.nan))
                self._is_begun = True
            self._audit.add(sent_ns, values)
        self._judged = count
        self._audit.finish()
        return self._verdicts.problems()

    def longest_gap_ns(self, begin_ns: int, end_ns: int) -> int:
        """Return the longest gap between commands that overlaps an interval; all in [ns, steady]."""
        times = [time for time in self.sent_ns]
        inner = [time for time in times if begin_ns < time < end_ns]
        before = [time for time in times if time <= begin_ns][-1:] or [begin_ns]
        after = [time for time in times if time >= end_ns][:1] or [end_ns]
        return int(np.diff([*before, *inner, *after]).max())

    def metrics(self) -> dict[str, Any]:
        """Return samples, violations, largest jump [rad] and largest shares of the limits by model."""
        return self._verdicts.metrics()


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the metrics of two judges by model: add counts, keep the larger of other values."""
    both = {**one, **other}
    for name in one.keys() & other.keys():
        first, second = one[name], other[name]
        shares, more = first["largest_share_of_limit"], second["largest_share_of_limit"]
        counts = first["violations"], second["violations"]
        both[name] = {
            "samples": first["samples"] + second["samples"],
            "violations": {kind: sum(count[kind] for count in counts) for kind in counts[0]},
            "jump_rad_max": max(first["jump_rad_max"], second["jump_rad_max"]),
            "largest_share_of_limit": {kind: max(shares[kind], more[kind]) for kind in shares},
        }
    return both


def _output(robot: RobotContract, adapter: str) -> Output:
    return next(output for output in robot.outputs if output.adapter == adapter)
