"""Reading a robot contract's driver states, enable switch and guard."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import product
from typing import Any

from asyncvla_ros.common.yaml_section import Section, distinct
from asyncvla_ros.robot.contract import (
    CameraSource,
    Dof,
    DriverState,
    EnableSwitch,
    GuardedFrame,
    JointStateSource,
    Plane,
    PoseSource,
    ToolLimits,
)
from asyncvla_ros.types import ContractError

BOOL = "std_msgs/msg/Bool"
MESSAGE = re.compile(r"[a-z]\w*/msg/[A-Z]\w*")
FIELD = re.compile(r"[a-z]\w*")
AXES = ("x", "y", "z")
# A normal below this length has no direction.
SHORTEST = 1e-9


def parse_driver_states(items: Sequence[Any], where: str) -> tuple[DriverState, ...]:
    """Read the states of the driver.

    Args:
        items: The parsed YAML list.
        where: Place for messages, such as ``ur5e.yaml: driver_state``.

    Raises:
        ContractError: an entry is impossible, or two contradict each other.
    """
    states = tuple(_driver_state(item, f"{where}[{i}]") for i, item in enumerate(items))
    distinct([f"{state.field} of {state.topic}" for state in states], where)
    for state in states:
        messages = sorted({other.message for other in states if other.topic == state.topic})
        if len(messages) > 1:
            raise ContractError(f"{where}: {state.topic} has one type, found {' and '.join(messages)}")
    return states


def _driver_state(data: Any, where: str) -> DriverState:
    section = Section(data, where, ("topic", "type", "field", "ready"))
    message = section.text("type")
    if not MESSAGE.fullmatch(message):
        raise ContractError(f"{where}.type: expected PACKAGE/msg/NAME, such as {BOOL}, found {message!r}")
    field = section.text("field") if section.has("field") else "data"
    if not FIELD.fullmatch(field):
        raise ContractError(f"{where}.field: expected the name of one field, found {field!r}")
    ready = section.items("ready")
    kinds = {type(value) for value in ready}
    if kinds not in ({bool}, {int}):
        raise ContractError(f"{where}.ready: expected integers, or true and false, found {ready!r}")
    if message == BOOL and kinds != {bool}:
        raise ContractError(f"{where}.ready: a {BOOL} is true or false, found {ready!r}")
    distinct([str(value) for value in ready], f"{where}.ready")
    return DriverState(section.topic("topic"), message, field, tuple(int(value) for value in ready))


def parse_enable(data: Any, where: str) -> EnableSwitch:
    """Read the switch that must be held; ``where`` is the place in messages of ``ContractError``."""
    section = Section(data, where, ("topic", "timeout_s"))
    return EnableSwitch(section.topic("topic"), section.positive("timeout_s"))


def check_topics(
    sources: Sequence[CameraSource | JointStateSource | PoseSource],
    states: Sequence[DriverState],
    enable: EnableSwitch | None,
    where: str,
) -> None:
    """Raise ContractError if a topic has two different uses; several driver states may share one."""
    topics = [source.topic for source in sources] + list(dict.fromkeys(state.topic for state in states))
    topics += [] if enable is None else [enable.topic]
    distinct(topics, f"{where}: topics of cameras, state, driver_state and enable")


def parse_guard(data: Any, where: str, space: str, dofs: Sequence[Dof]) -> ToolLimits:
    """Read the permitted positions of links and the speed limit of the tool.

    Args:
        data: The parsed YAML.
        where: Place for messages, such as ``ur5e.yaml: guard``.
        space: Action space of the contract.
        dofs: All action dims.

    Raises:
        ContractError: nothing is limited, no position is permitted, or such an arm cannot be guarded.
    """
    section = Section(data, where, ("tool", "tool_speed", "frames"))
    if space != "joint_position":
        raise ContractError(
            f"{where}: only for joint positions, the action space joint_position, found {space}"
        )
    joints = [dof for dof in dofs if not (dof.unit == "normalized" or dof.holds_command)]
    loose = [dof.name for dof in joints if dof.velocity is None]
    if loose:
        raise ContractError(
            f"{where}: only joints with a velocity limit can be slowed; {', '.join(loose)} have none"
        )
    if not (section.has("tool_speed") or section.has("frames")):
        raise ContractError(f"{where}: expected tool_speed, frames, or both, found neither")
    items = section.items("frames") if section.has("frames") else []
    frames = tuple(_frame(item, f"{where}.frames[{i}]") for i, item in enumerate(items))
    distinct([frame.link for frame in frames], f"{where}.frames")
    return ToolLimits(section.text("tool"), section.optional_positive("tool_speed"), frames)


def _frame(data: Any, where: str) -> GuardedFrame:
    section = Section(data, where, ("link", "box", "planes"))
    if not (section.has("box") or section.has("planes")):
        raise ContractError(f"{where}: expected box, planes, or both, found neither")
    box = _box(section) if section.has("box") else None
    items = section.items("planes") if section.has("planes") else []
    planes = tuple(_plane(item, f"{where}.planes[{i}]") for i, item in enumerate(items))
    for index, plane in enumerate(planes):
        if box is not None and all(_depth(plane, corner) < 0 for corner in product(*box)):
            raise ContractError(f"{where}.planes[{index}]: no place in the box is on its permitted side")
    return GuardedFrame(section.text("link"), box, planes)


def _box(section: Section) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    ranges = section.items("box")
    if len(ranges) != len(AXES):
        raise ContractError(
            f"{section.where}.box: expected [minimum, maximum] of x, y and z, found {ranges!r}"
        )
    axes = Section(dict(zip(AXES, ranges, strict=True)), f"{section.where}.box", AXES)
    return axes.interval("x"), axes.interval("y"), axes.interval("z")


def _plane(data: Any, where: str) -> Plane:
    section = Section(data, where, ("normal", "offset"))
    normal, offset = section.items("normal"), section.raw("offset")
    if len(normal) != len(AXES) or not all(_is_number(value) for value in normal):
        raise ContractError(f"{where}.normal: expected three finite numbers, found {normal!r}")
    if not _is_number(offset):
        raise ContractError(f"{where}.offset: expected a finite number, found {offset!r}")
    length = math.hypot(*normal)
    if length < SHORTEST:
        raise ContractError(f"{where}.normal: expected a direction, found no length")
    x, y, z = (value / length for value in normal)
    return Plane((x, y, z), float(offset))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _depth(plane: Plane, point: Sequence[float]) -> float:
    """Return how far a point (3,) is on the permitted side [m]."""
    return sum(n * p for n, p in zip(plane.normal, point, strict=True)) - plane.offset
