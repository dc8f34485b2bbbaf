"""Reading the action dims of a robot contract, with their limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncvla_ros.common.yaml_section import Section
from asyncvla_ros.robot.contract import HOLDS, UNITS, Dof, WorkspaceLimit
from asyncvla_ros.types import ContractError

LIMITS = ("step", "position", "velocity", "acceleration", "jerk", "workspace", "stop", "following_error")
# Each limit, and the limit it needs.
NEEDS = (("acceleration", "velocity"), ("jerk", "acceleration"))


def parse_dof(data: Any, where: str, space: str, states: Sequence[str]) -> Dof:
    """Read one action dim.

    Args:
        data: The parsed YAML.
        where: Place for messages, such as ``ur5e.yaml: action.dofs[2]``.
        space: Action space of the contract.
        states: Names of all states.

    Raises:
        ContractError: a limit is missing, impossible, or does not apply to such a dof.
    """
    section = Section(data, where, ("name", "unit", "scale", "limits", "hold"))
    limits = Section(section.raw("limits"), f"{where}.limits", LIMITS)
    is_delta, minimum, maximum = _range(limits, space)
    if is_delta and section.has("hold"):
        raise ContractError(f"{where}.hold: a delta per control step is held by 0; it is for absolute dofs")
    name = section.text("name")
    holds_command = section.has("hold") and section.text("hold", HOLDS) == "commanded"
    stop_acceleration, stop_jerk = _stop(limits)
    dof = Dof(
        name=name,
        unit=section.text("unit", UNITS),
        scale=section.positive("scale"),
        is_delta=is_delta,
        minimum=minimum,
        maximum=maximum,
        velocity=limits.optional_positive("velocity"),
        acceleration=limits.optional_positive("acceleration"),
        jerk=limits.optional_positive("jerk"),
        workspace=_workspace(limits, states, is_delta=is_delta),
        holds_command=holds_command,
        stop_acceleration=stop_acceleration,
        stop_jerk=stop_jerk,
        following_error=_following_error(
            limits, name, states, is_delta=is_delta, holds_command=holds_command
        ),
    )
    for key, needed in NEEDS:
        if limits.has(key) and not limits.has(needed):
            raise ContractError(f"{limits.where}: a limit of {key} needs one of {needed}")
    return dof


def _range(limits: Section, space: str) -> tuple[bool, float, float]:
    """Return whether the dof is a delta per step, and its smallest and largest command [unit]."""
    is_delta = limits.has("step")
    if is_delta == limits.has("position"):
        raise ContractError(
            f"{limits.where}: expected either step (a delta per control step) or position (absolute), as "
            "[min, max], also for a joint that turns without end"
        )
    if is_delta and not space.startswith("delta_"):
        raise ContractError(f"{limits.where}: step limits need a delta action space, found {space}")
    minimum, maximum = limits.interval("step" if is_delta else "position")
    if is_delta and not minimum <= 0 <= maximum:
        raise ContractError(
            f"{limits.where}.step: [{minimum:g}, {maximum:g}] does not permit standing still (0)"
        )
    return is_delta, minimum, maximum


def _workspace(limits: Section, states: Sequence[str], *, is_delta: bool) -> WorkspaceLimit | None:
    if not limits.has("workspace"):
        return None
    where = f"{limits.where}.workspace"
    if not is_delta:
        raise ContractError(
            f"{where}: only for a delta per control step; an absolute dof has its position limits"
        )
    section = Section(limits.raw("workspace"), where, ("state", "range"))
    return WorkspaceLimit(section.text("state", states), *section.interval("range"))


def _stop(limits: Section) -> tuple[float | None, float | None]:
    """Return the emergency stop's acceleration [unit/s²] and jerk [unit/s³]; None: those of the motion."""
    if not limits.has("stop"):
        return None, None
    section = Section(limits.raw("stop"), f"{limits.where}.stop", ("acceleration", "jerk"))
    if not (section.has("acceleration") or section.has("jerk")):
        raise ContractError(f"{section.where}: expected acceleration, jerk, or both, found neither")
    found = {}
    for key in ("acceleration", "jerk"):
        value, usual = section.optional_positive(key), limits.optional_positive(key)
        if value is not None and usual is None:
            raise ContractError(f"{section.where}.{key}: needs a limit of {key} to be compared with")
        if value is not None and usual is not None and value < usual:
            raise ContractError(
                f"{section.where}.{key}: expected {usual:g} or more, as while moving, found {value:g}"
            )
        found[key] = value
    return found["acceleration"], found["jerk"]


def _following_error(
    limits: Section, name: str, states: Sequence[str], *, is_delta: bool, holds_command: bool
) -> float | None:
    where = f"{limits.where}.following_error"
    if not limits.has("following_error"):
        return None
    if holds_command:
        raise ContractError(f"{where}: not with hold: commanded; a gripper may stop at what it grips")
    if is_delta or name not in states:
        kind = "a delta per step" if is_delta else f"no state; the states are {', '.join(states)}"
        raise ContractError(f"{where}: only for an absolute dof with a state of its name; {name} is {kind}")
    return limits.positive("following_error")
