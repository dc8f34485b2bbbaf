"""What a driver makes of a command until the next one comes, for each dof of a contract."""

from __future__ import annotations

import enum

from asyncvla_ros.robot.contract import RobotContract


class Drive(enum.Enum):
    """What goes on in the driver while no command comes.

    ::

        TRAJECTORY   ─╮              the motion it was sent, to its end: it comes to rest by itself
                      ╰───────
        HELD         ────────        the last position: the arm stands there
        RATE           ╱             the last velocity, on and on
                      ╱
        STEP         ────────        a change per step is made once: the arm stands behind it
    """

    TRAJECTORY = "trajectory"
    HELD = "held"
    RATE = "rate"
    STEP = "step"


ADAPTER_DRIVES = {
    "joint_trajectory": Drive.TRAJECTORY,
    "forward_velocity": Drive.RATE,
    "twist": Drive.RATE,
}


def drives(robot: RobotContract) -> tuple[Drive, ...]:
    """The drive of each dof, by the output that carries it beside ``action_command``."""
    adapters = {
        name: output.adapter
        for output in robot.outputs
        if output.adapter != "action_command"
        for name in output.dofs
    }
    return tuple(
        ADAPTER_DRIVES.get(adapters.get(dof.name, ""), Drive.STEP if dof.is_delta else Drive.HELD)
        for dof in robot.dofs
    )
