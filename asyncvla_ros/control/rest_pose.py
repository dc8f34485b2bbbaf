"""Measured rest positions of dofs, and their tolerance."""

from __future__ import annotations

import math

from asyncvla_ros.control.robot_state import AGREEMENT, RobotState
from asyncvla_ros.control.supervisor import nearest
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import following_limit


def agreement(dof: Dof) -> float:
    """Return the tolerance within which two measurements of a dof at rest agree [unit]."""
    return AGREEMENT * following_limit(dof)


def measured_rest(dof: Dof, state: RobotState, since_ns: int | None = None) -> float | None:
    """Return the rest position of a dof [unit]; 0 for a delta, NaN for an unmeasured gripper.

    Args:
        dof: A tracked one.
        state: The measured state.
        since_ns: Time from which samples count [ns, node clock]; None: all count.

    Returns:
        The position; None while samples do not agree.
    """
    if dof.is_delta:
        return 0.0
    if dof.holds_command:
        return state.value(dof.name)
    return state.resting(dof.name, agreement(dof), since_ns)


def hold_position(dof: Dof, commanded: float, measured: float, *, has_let_go: bool) -> float:
    """Return the position at which to hold a dof [unit]: its rest position if that is near, or it has let go.

    Args:
        dof: A tracked one.
        commanded: Its commanded position [unit].
        measured: Its rest position [unit]; NaN: unknown.
        has_let_go: Whether it obeys nobody, so that the hold follows it.
    """
    if dof.is_delta or dof.holds_command or math.isnan(measured):
        return commanded
    near = nearest(dof, measured, commanded)
    return near if has_let_go or abs(near - commanded) <= following_limit(dof) else commanded
