"""The controller's status as messages."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_msgs.msg import ControllerStatus
from asyncvla_ros.common.lateness import Lateness
from asyncvla_ros.control.types import Mode, Status
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros.conversions import to_duration, to_time
from asyncvla_ros.ros.diagnostics import Report

LEVELS = {
    Mode.IDLE: DiagnosticStatus.OK,
    Mode.TRACKING: DiagnosticStatus.OK,
    Mode.HOLDING: DiagnosticStatus.WARN,
    Mode.FAULT: DiagnosticStatus.ERROR,
    Mode.ESTOP: DiagnosticStatus.ERROR,
}


def status_message(status: Status, robot: RobotContract, lateness: Lateness, now_ns: int) -> ControllerStatus:
    """The status at ``now_ns`` [ns, node clock], and how late commands were."""
    message = ControllerStatus(
        mode=int(status.mode),
        reason_code=int(status.reason),
        reason=status.text,
        chunk_id=status.chunk_id,
        chunk_age=to_duration(round(status.chunk_age_s * 1e9)),
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
    status: Status,
    robot: RobotContract,
    rates: Mapping[str, float],
    lateness: Lateness,
    chunk_publishers: int,
) -> Report:
    """Mode, reason and figures for ``/diagnostics``.

    Args:
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
        "braked at a limit": status.limit_stops,
        "command lateness p99 [ms]": 1e3 * lateness.p99_s,
        "command lateness worst [ms]": 1e3 * lateness.worst_s,
        "command gaps": lateness.gaps,
    }
    values |= {f"clipped {dof}": int(n) for dof, n in zip(robot.dof_names, status.clamped, strict=True)}
    return Report(LEVELS[status.mode], f"{status.mode.name} {status.text}".strip(), values)
