"""Report the controller's state: status, a log line when it changes, and diagnostics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isnan
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_msgs.msg import ControllerStatus
from asyncvla_ros.common.lateness import Lateness
from asyncvla_ros.common.statistics import Rates
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.drive import GAP_PERIODS
from asyncvla_ros.control.types import Mode, Reason, Status
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import to_duration, to_time
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.repeated_warning import RepeatedWarning
from asyncvla_ros.ros.stream_watch import clock_problem

# Drivers may take so long to come before the log says that they are missing [s].
REPORTED_AFTER_S = 2.0
# Periods of which lateness is told.
LATENESS_WINDOW = 1000
LEVELS = {
    Mode.IDLE: DiagnosticStatus.OK,
    Mode.TRACKING: DiagnosticStatus.OK,
    Mode.HOLDING: DiagnosticStatus.WARN,
    Mode.FAULT: DiagnosticStatus.ERROR,
    Mode.ESTOP: DiagnosticStatus.ERROR,
}


class StatusReporter:
    """Publish ``~/status`` and measure how late commands are.

    Args:
        node: The controller; owns the publisher.
        robot: Names the dofs.
        chunk_topic: The policy's topic.
        lockstep: The world waits for each command, so it may as well wait for a policy that is silent.
        silence: Returns why nothing came on a state topic, if it is known.
    """

    def __init__(
        self,
        node: ManagedNode,
        robot: RobotContract,
        chunk_topic: str,
        *,
        lockstep: bool,
        silence: Callable[[str], str],
    ):
        self._node, self._robot, self._chunk_topic, self._silence = node, robot, chunk_topic, silence
        self._lockstep = lockstep
        self._warning = RepeatedWarning(node)
        self._waits_since_s: float | None = None
        self._lateness = Lateness(LATENESS_WINDOW, gap_s=GAP_PERIODS * robot.command_period_ns / 1e9)
        # Also while the node is inactive: what is latched counts then, too.
        self._publisher = node.create_publisher(ControllerStatus, "~/status", qos.STATUS)
        node.resources.callback(node.destroy_publisher, self._publisher)
        self._rates = Rates()
        self._commands = 0
        self._due_ns: int | None = None
        self._said: tuple[Mode, Reason] | None = None

    def restart(self) -> None:
        """Expect no command yet, at an activation."""
        self._due_ns = None

    def note_command(self, *, is_sent: bool, is_timed: bool) -> None:
        """Note whether a command was sent, and whether the next one is due a period from now."""
        self._commands += is_sent
        if not (is_sent and is_timed):
            self._due_ns = None
            return
        now_ns = time.monotonic_ns()
        if self._due_ns is not None:
            self._lateness.note(max(0, now_ns - self._due_ns) / 1e9)
        self._due_ns = now_ns + self._robot.command_period_ns

    def publish_change(self, controller: Controller, now_ns: int) -> None:
        """Publish the status at ``now_ns`` [ns, node clock] and a log line if mode or reason changed."""
        if (controller.mode, controller.reason) == self._said:
            return
        self._said = controller.mode, controller.reason
        text = f"{controller.mode.name} {controller.text}".strip()
        # rclpy allows one severity per line of code.
        if self._level(controller.mode, controller.reason) == DiagnosticStatus.OK:
            self._node.get_logger().info(text)
        else:
            self._node.get_logger().warning(text)
        self.publish(controller, now_ns)

    def _level(self, mode: Mode, reason: Reason) -> bytes:
        """Return the level of diagnostics: no task, or a simulation that begins anew, is no warning."""
        clock: Any = self._node.get_clock()
        usual = {Reason.TASK_ENDED: True, Reason.CLOCK_JUMP: clock.ros_time_is_active}
        usual[Reason.UNDERRUN] = self._lockstep
        is_usual = mode is Mode.HOLDING and usual.get(reason, False)
        return DiagnosticStatus.OK if is_usual else LEVELS[mode]

    def publish(self, controller: Controller, now_ns: int) -> None:
        """Publish the status at ``now_ns`` [ns, node clock]."""
        self._publish(self._explained(controller.status(now_ns)), now_ns)

    def _publish(self, status: Status, now_ns: int) -> None:
        self._publisher.publish(status_message(status, self._robot, self._lateness, now_ns))

    def _explained(self, status: Status) -> Status:
        """Add, while nothing moves yet, what would keep the arm from moving, and why."""
        if status.mode is not Mode.IDLE or not status.problem:
            return replace(status, problem="")
        causes = [f"{topic}: {cause}" for topic in status.silent if (cause := self._silence(topic))]
        problem = clock_problem(self._node) or "; ".join([status.problem, *causes])
        return replace(status, text=f"{status.text}; {problem}", problem=problem)

    def watch(self, controller: Controller, now_ns: int) -> None:
        """Publish the status; log what has kept the arm from moving for a while."""
        status = self._explained(controller.status(now_ns))
        self._publish(status, now_ns)
        if not status.problem:
            self._waits_since_s = None
            return
        now_s = time.monotonic()
        self._waits_since_s = now_s if self._waits_since_s is None else self._waits_since_s
        if now_s - self._waits_since_s > REPORTED_AFTER_S:
            self._warning.say(status.problem)

    def report(self, controller: Controller, now_ns: int) -> Report:
        """Return the report for ``/diagnostics`` at ``now_ns`` [ns, node clock]."""
        status = self._explained(controller.status(now_ns))
        rates = self._rates.update(time.monotonic(), {"commands": self._commands, "chunks": status.accepted})
        publishers = self._node.count_publishers(self._chunk_topic)
        level = DiagnosticStatus.WARN if status.problem else self._level(status.mode, status.reason)
        return diagnostics_report(
            level, status, self._robot, rates, lateness=self._lateness, chunk_publishers=publishers
        )


def status_message(status: Status, robot: RobotContract, lateness: Lateness, now_ns: int) -> ControllerStatus:
    """Return the status at ``now_ns`` [ns, node clock], with how late commands were."""
    message = ControllerStatus(
        mode=int(status.mode),
        reason_code=int(status.reason),
        reason=status.text,
        chunk_id=status.chunk_id,
        chunk_age=to_duration(0 if isnan(status.chunk_age_s) else round(status.chunk_age_s * 1e9)),
        actions_left=status.actions_left,
        accepted_chunks=status.accepted,
        rejected_chunks=status.rejected,
        expired_actions=status.expired,
        underruns=status.underruns,
        last_rejection=status.last_rejection,
        dof_names=list(robot.dof_names),
        clipped=status.clamped.tolist(),
        lateness_p99=to_duration(round(lateness.p99_s * 1e9)),
        lateness_worst=to_duration(round(lateness.worst_s * 1e9)),
    )
    message.header.stamp = to_time(now_ns)
    return message


def diagnostics_report(
    level: bytes,
    status: Status,
    robot: RobotContract,
    rates: Mapping[str, float],
    lateness: Lateness,
    chunk_publishers: int,
) -> Report:
    """Return mode, reason and metrics for ``/diagnostics``.

    Args:
        level: Of the report.
        status: The controller's status.
        robot: Names the dofs.
        rates: ``commands`` and ``chunks`` [Hz].
        lateness: Of commands.
        chunk_publishers: Publishers of the chunk topic; one that was killed counts until it is missed.
    """
    values: dict[str, object] = {
        "mode": status.mode.name,
        "reason": status.reason.name,
        "commands [Hz]": rates["commands"],
        "chunks [Hz]": rates["chunks"],
        "chunk publishers": chunk_publishers,
        "chunk age [s]": status.chunk_age_s,
        "actions left": status.actions_left,
        "accepted chunks": status.accepted,
        "rejected chunks": status.rejected,
        "last rejection": status.last_rejection,
        "expired actions": status.expired,
        "underruns": status.underruns,
        "limit stops": status.limit_stops,
        "command lateness p99 [ms]": 1e3 * lateness.p99_s,
        "command lateness worst [ms]": 1e3 * lateness.worst_s,
        "command gaps": lateness.gaps,
    }
    values |= {f"clamped {dof}": int(n) for dof, n in zip(robot.dof_names, status.clamped, strict=True)}
    return Report(level, f"{status.mode.name} {status.text}".strip(), values)
