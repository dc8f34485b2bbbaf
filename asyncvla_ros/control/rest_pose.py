"""Where dofs are seen at rest, and how exactly that can be told."""

from __future__ import annotations

import math

from asyncvla_ros.control.robot_state import AGREEMENT, RobotState
from asyncvla_ros.control.supervisor import nearest
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import following_limit


def agreement(dof: Dof) -> float:
    """Within which two measurements of a dof at rest are the same [unit]."""
    return AGREEMENT * following_limit(dof)


def measured_rest(dof: Dof, state: RobotState, since_ns: int | None = None) -> float | None:
    """Where a dof rests [unit], 0 for a change, NaN for a gripper of which nobody knows.

    Args:
        dof: A tracked one.
        state: The measured state.
        since_ns: Samples of before count not [ns, node clock]; None: all count.

    Returns:
        None while samples do not agree.
    """
    if dof.is_delta:
        return 0.0
    if dof.holds_command:
        return state.value(dof.name)
    return state.resting(dof.name, agreement(dof), since_ns)


def hold_position(dof: Dof, commanded: float, measured: float, *, has_let_go: bool) -> float:
    """Where a dof is to be held [unit]: where it rests, if that is near enough or it goes where it likes.

    Args:
        dof: A tracked one.
        commanded: Where it is commanded to be [unit].
        measured: Where it rests [unit], NaN: unknown.
        has_let_go: Whether it may be anywhere, and the hold goes with it.
    """
    if dof.is_delta or dof.holds_command or math.isnan(measured):
        return commanded
    near = nearest(dof, measured, commanded)
    return near if has_let_go or abs(near - commanded) <= following_limit(dof) else commanded
