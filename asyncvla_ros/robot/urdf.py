"""Reading a URDF for a robot contract: moving joints with their ranges and velocities."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from dataclasses import dataclass

from asyncvla_ros.common.yaml_section import distinct
from asyncvla_ros.types import ContractError

MOVING = ("revolute", "continuous", "prismatic")


@dataclass(frozen=True)
class UrdfJoint:
    """A joint that moves by itself.

    Attributes:
        name: As in joint_states.
        unit: ``rad``, or ``m`` of a prismatic joint.
        limits: Smallest and largest position [unit], of soft limits if there are any; None: the joint turns
        without end, or the file gives no range.
        velocity: Largest velocity [unit/s]; None: not given.
        is_continuous: Whether it turns without end.
    """

    name: str
    unit: str
    limits: tuple[float, float] | None
    velocity: float | None
    is_continuous: bool = False


@dataclass(frozen=True)
class Urdf:
    """The root link, and the moving joints from there outwards."""

    root: str
    joints: tuple[UrdfJoint, ...]


def read_urdf(text: str, where: str) -> Urdf:
    """Read a URDF.

    Args:
        text: The XML.
        where: Place for messages, such as the file's name.

    Raises:
        ContractError: the text is no URDF, or no joint moves.
    """
    robot = robot_element(text, where)
    # Not the joints of transmissions, which only repeat names.
    elements = robot.findall("joint")
    try:
        children = distinct([link_of(joint, "child") for joint in elements], f"{where}: children of joints")
        links = [link.attrib["name"] for link in robot.findall("link")]
        roots = [name for name in links if name not in children]
        if len(roots) != 1:
            raise ContractError(
                f"{where}: expected one link without a parent, found {', '.join(roots) or 'none'}"
            )
        joints = tuple(_joint(element) for element in _outwards(roots[0], elements))
    except (KeyError, ValueError) as error:
        raise ContractError(f"{where}: a joint is incomplete: {error!r}") from error
    if not joints:
        raise ContractError(f"{where}: expected joints that move ({', '.join(MOVING)}), found none")
    return Urdf(roots[0], joints)


def robot_element(text: str, where: str) -> ElementTree.Element:
    """Return the element ``<robot>`` of a URDF.

    Raises:
        ContractError: the text is no URDF; ``where`` begins the message.
    """
    if not text.strip():
        raise ContractError(f"{where}: it is empty; did xacro fail?")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ContractError(f"{where}: a document type or entity is not accepted; expected a plain <robot>")
    try:
        robot = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ContractError(f"{where}: expected a URDF, found no XML: {error}") from error
    if any("xacro" in element.tag for element in robot.iter()):
        raise ContractError(f"{where}: this is xacro; first write the URDF: xacro {where} > robot.urdf")
    if robot.tag != "robot":
        raise ContractError(f"{where}: expected the root element <robot>, found <{robot.tag}>")
    _require_names(robot, where)
    _require_links(robot, where)
    return robot


def _require_names(robot: ElementTree.Element, where: str) -> None:
    for kind in ("link", "joint"):
        names = [element.get("name") for element in robot.findall(kind)]
        nameless = names.count(None) + names.count("")
        if nameless:
            raise ContractError(f"{where}: {nameless} of {len(names)} elements <{kind}> have no name")
        distinct([name for name in names if name], f"{where}: names of {kind}s")


def _require_links(robot: ElementTree.Element, where: str) -> None:
    for joint in robot.findall("joint"):
        missing = [
            f"<{end} link=...>"
            for end in ("parent", "child")
            if not getattr(joint.find(end), "attrib", {}).get("link")
        ]
        if missing:
            raise ContractError(f"{where}: joint {joint.get('name')} has no {' and no '.join(missing)}")


def link_of(joint: ElementTree.Element, end: str) -> str:
    """Return the link at the ``parent`` or ``child`` end of a joint of a ``robot_element``."""
    element = joint.find(end)
    assert element is not None
    return element.attrib["link"]


def _outwards(link: str, elements: list[ElementTree.Element]) -> list[ElementTree.Element]:
    """Return the moving joints below a link, depth first, without joints that only mimic others."""
    found = []
    below: dict[str, list[ElementTree.Element]] = defaultdict(list)
    for element in elements:
        below[link_of(element, "parent")].insert(0, element)
    waiting = list(below[link])
    while waiting:
        element = waiting.pop()
        if element.attrib["type"] in MOVING and element.find("mimic") is None:
            found.append(element)
        waiting += below[link_of(element, "child")]
    return found


def _joint(element: ElementTree.Element) -> UrdfJoint:
    kind = element.attrib["type"]
    # A missing value is 0; a velocity of 0 means that nobody filled it in.
    lower, upper = _number(element, "limit", "lower"), _number(element, "limit", "upper")
    lower = max(lower, _number(element, "safety_controller", "soft_lower_limit", lower))
    upper = min(upper, _number(element, "safety_controller", "soft_upper_limit", upper))
    velocity = _number(element, "limit", "velocity")
    bounded = kind != "continuous" and lower < upper
    return UrdfJoint(
        name=element.attrib["name"],
        unit="m" if kind == "prismatic" else "rad",
        limits=(lower, upper) if bounded else None,
        velocity=velocity if velocity > 0 else None,
        is_continuous=kind == "continuous",
    )


def _number(joint: ElementTree.Element, tag: str, key: str, default: float = 0.0) -> float:
    element = joint.find(tag)
    text = None if element is None else element.get(key)
    if text is None:
        return default
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{key} of {joint.attrib.get('name')} is {text}")
    return value
