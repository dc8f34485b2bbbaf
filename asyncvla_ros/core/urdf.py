"""Joint limits of a URDF, which may tighten those of a robot contract but never widen them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from asyncvla_ros.core.robot_contract import Dof, JointStateSource, RobotContract, WorkspaceLimit
from asyncvla_ros.types import ContractError


@dataclass(frozen=True)
class JointLimits:
    """Limits of one URDF joint: positions [rad or m], infinite if continuous; velocity [rad/s or m/s]."""

    minimum: float
    maximum: float
    velocity: float


def tighten(robot: RobotContract, urdf_text: str) -> RobotContract:
    """The contract with each joint's position and velocity limits cut to those of the URDF.

    The tighter bound wins. A dof belongs to the joint of the state of its name, else to the joint of its own
    name; dofs without a physical unit belong to none. For a change per step the joint's range limits where it
    may lead (``Dof.workspace``).

    Args:
        robot: A contract with a joint action space.
        urdf_text: The robot description.

    Raises:
        ContractError: the text is no URDF, a joint is missing in it, or no common range is left.
    """
    if robot.action_space not in ("joint_position", "delta_joint_position"):
        raise ContractError(
            f"{robot.name}: a URDF limits joints, so it can only tighten the action spaces joint_position "
            f"and delta_joint_position, found {robot.action_space}"
        )
    joints = joint_limits(urdf_text)
    sources = [source for source in robot.state if isinstance(source, JointStateSource)]
    names = {name: joint for s in sources for name, joint in zip(s.names, s.joints, strict=True)}
    dofs = []
    for dof in robot.dofs:
        joint = names.get(dof.name, dof.name)
        if dof.unit == "normalized":
            dofs.append(dof)
        elif joint in joints:
            dofs.append(_tightened(dof, joints[joint], dof.name in names, f"{robot.name}: joint {joint}"))
        else:
            raise ContractError(
                f"{robot.name}: dof {dof.name} is joint {joint}, which the URDF does not move; "
                f"its joints are {', '.join(joints) or 'none'}"
            )
    return replace(robot, dofs=tuple(dofs))


def joint_limits(urdf_text: str) -> dict[str, JointLimits]:
    """Name to limits of every revolute, prismatic and continuous joint; soft limits count if they are there.

    Raises:
        ContractError: the text is no URDF, or a limit is missing or impossible.
    """
    if "<!DOCTYPE" in urdf_text or "<!ENTITY" in urdf_text:
        raise ContractError("URDF: a document type or entity is not accepted; expected a plain <robot>")
    try:
        root = ElementTree.fromstring(urdf_text)
    except ElementTree.ParseError as error:
        raise ContractError(f"URDF: no valid XML: {error}") from error
    if root.tag != "robot":
        raise ContractError(f"URDF: expected the root element robot, found {root.tag}")
    moving = ("revolute", "prismatic", "continuous")
    found = [joint for joint in root.iter("joint") if joint.get("type") in moving]
    return {joint.get("name", ""): _limits(joint) for joint in found}


def _limits(joint: ElementTree.Element) -> JointLimits:
    where = f"URDF: joint {joint.get('name', '')}"
    limit, soft = joint.find("limit"), joint.find("safety_controller")
    is_continuous = joint.get("type") == "continuous"
    if limit is None and not is_continuous:
        raise ContractError(f"{where} has no <limit>")
    if is_continuous:
        minimum, maximum = -math.inf, math.inf
    else:
        # URDF: a bound that is not given is 0.
        minimum, maximum = _number(limit, "lower", 0.0, where), _number(limit, "upper", 0.0, where)
        minimum = max(minimum, _number(soft, "soft_lower_limit", minimum, where))
        maximum = min(maximum, _number(soft, "soft_upper_limit", maximum, where))
        if minimum >= maximum:
            raise ContractError(f"{where}: expected lower < upper, found [{minimum:g}, {maximum:g}]")
    velocity = _number(limit, "velocity", math.inf, where)
    if velocity <= 0:
        raise ContractError(f"{where}.velocity: expected a number above 0, found {velocity:g}")
    return JointLimits(minimum, maximum, velocity)


def _number(element: ElementTree.Element | None, key: str, default: float, where: str) -> float:
    text = None if element is None else element.get(key)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ContractError(f"{where}.{key}: expected a finite number, found {text!r}")
    return value


def _tightened(dof: Dof, limits: JointLimits, is_measured: bool, where: str) -> Dof:
    velocity = min(limits.velocity, math.inf if dof.velocity is None else dof.velocity)
    dof = replace(dof, velocity=velocity if math.isfinite(velocity) else None)
    if not dof.is_delta:
        minimum, maximum = _common(dof.minimum, dof.maximum, limits, where)
        return replace(dof, minimum=minimum, maximum=maximum)
    space = dof.workspace
    if space is None and not is_measured:
        raise ContractError(
            f"{where}: a change of it can only be kept in its range if dof {dof.name} names a state, or has "
            f"a workspace that does"
        )
    if space is None:
        space = WorkspaceLimit(dof.name, -math.inf, math.inf)
    minimum, maximum = _common(space.minimum, space.maximum, limits, where)
    return replace(dof, workspace=WorkspaceLimit(space.state, minimum, maximum))


def _common(minimum: float, maximum: float, limits: JointLimits, where: str) -> tuple[float, float]:
    low, high = max(minimum, limits.minimum), min(maximum, limits.maximum)
    if low >= high:
        raise ContractError(
            f"{where}: the contract permits [{minimum:g}, {maximum:g}] and the URDF "
            f"[{limits.minimum:g}, {limits.maximum:g}]: nothing in common"
        )
    return low, high
