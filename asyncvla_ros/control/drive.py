"""How each dof moves between two commands, which depends on its driver."""

from __future__ import annotations

import enum
import math

from asyncvla_ros.control.motion import Bounds, MotionState, can_stop
from asyncvla_ros.robot.contract import RobotContract

# Periods without a command after which a driver stands still, or continues at its last velocity.
GAP_PERIODS = 2
# Least time between two deltas [periods].
EARLIEST = 0.75


class Drive(enum.Enum):
    """Motion of a driver while no command comes.

    ::

        TRAJECTORY   ─╮              the motion it was sent, to its end: it comes to rest by itself
                      ╰───────
        HELD         ────────        the last position: the arm stands there
        RATE           ╱             the last velocity, on and on
                      ╱
        STEP         ────────        a delta per step is made once: the arm stands behind it
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
    """Return the drive of each dof, which follows from the output that carries it."""
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


def quintic_s(way: float, bounds: Bounds) -> float:
    """Return the least time from rest to rest on the quintic that a trajectory driver follows [s].

    Velocity, acceleration and jerk of that are at most 15/8 d/T, 10/√3 d/T² and 60 d/T³.

    Args:
        way: Distance [unit].
        bounds: Limits to keep.
    """
    return max(
        15 / 8 * way / bounds.max_velocity,
        math.sqrt(10 / math.sqrt(3) * way / bounds.acceleration),
        (60 * way / bounds.jerk) ** (1 / 3),
    )


def stops_within(
    kind: Drive, before: MotionState, after: MotionState, bounds: Bounds, command_period_ns: int
) -> bool:
    """Return whether the driver's quickest stop from a state stays within every bound.

    A rate lasts until the next command, which may be late, so a stop by rates goes farther than the planned
    one. Steps may come a little early, so there may be more of them.

    Args:
        kind: Of the driver.
        before: Its present state.
        after: The state commanded next.
        bounds: Of the dof.
        command_period_ns: Time between two commands [ns].
    """
    if kind is Drive.RATE:
        further = after.velocity * GAP_PERIODS * command_period_ns / 1e9
        return can_stop(after._replace(position=before.position + further), bounds)
    if kind is Drive.STEP:
        after = after._replace(position=before.position + after.velocity * command_period_ns / 1e9)
        low, high = after.position - bounds.minimum, bounds.maximum - after.position
        if min(low, high) < 0:
            return False
        bounds = bounds._replace(
            minimum=after.position - EARLIEST * low, maximum=after.position + EARLIEST * high
        )
    return can_stop(after, bounds)
