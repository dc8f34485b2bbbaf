"""Joint limits of a URDF, which may tighten those of a robot contract but never widen them."""

from __future__ import annotations

import math
from dataclasses import replace

from asyncvla_ros.robot.contract import Dof, JointStateSource, RobotContract, WorkspaceLimit
from asyncvla_ros.robot.urdf import Urdf, UrdfJoint
from asyncvla_ros.types import ContractError


def tighten(robot: RobotContract, urdf: Urdf) -> RobotContract:
    """Return the contract with each joint's position and velocity limits cut to those of the URDF.

    The tighter bound wins. A dof belongs to the joint behind the state of its name, else to the joint of its
    own name; dofs without a physical unit belong to none. For a delta dof the joint's range limits where
    deltas may lead (``Dof.workspace``).

    Args:
        robot: A contract with a joint action space.
        urdf: The robot description.

    Raises:
        ContractError: a joint or its range is missing in the URDF, it moves in another unit, or the ranges do
        not overlap.
    """
    if robot.action_space not in ("joint_position", "delta_joint_position"):
        raise ContractError(
            f"{robot.name}: a URDF limits joints, so it can only tighten the action spaces joint_position "
            f"and delta_joint_position, found {robot.action_space}"
        )
    joints = {joint.name: joint for joint in urdf.joints}
    sources = [source for source in robot.state if isinstance(source, JointStateSource)]
    names = {name: joint for s in sources for name, joint in zip(s.names, s.joints, strict=True)}
    dofs = []
    for dof in robot.dofs:
        joint = names.get(dof.name, dof.name)
        if dof.unit == "normalized":
            dofs.append(dof)
        elif joint in joints:
            dofs.append(
                _tightened(dof, joints[joint], f"{robot.name}: joint {joint}", is_measured=dof.name in names)
            )
        else:
            raise ContractError(
                f"{robot.name}: dof {dof.name} is joint {joint}, which the URDF does not move; "
                f"its joints are {', '.join(joints) or 'none'}"
            )
    return replace(robot, dofs=tuple(dofs))


def _tightened(dof: Dof, joint: UrdfJoint, where: str, *, is_measured: bool) -> Dof:
    if dof.unit != joint.unit:
        raise ContractError(
            f"{where} moves in {joint.unit} in the URDF (prismatic: m, revolute and continuous: rad), but "
            f"dof {dof.name} is in {dof.unit}"
        )
    if joint.limits is None and not joint.is_continuous:
        raise ContractError(f"{where} has no range in the URDF; expected <limit> with lower < upper")
    limits = joint.limits or (-math.inf, math.inf)
    given = [velocity for velocity in (joint.velocity, dof.velocity) if velocity is not None]
    dof = replace(dof, velocity=min(given, default=None))
    if not dof.is_delta:
        minimum, maximum = _common(dof.minimum, dof.maximum, limits, where)
        return replace(dof, minimum=minimum, maximum=maximum)
    space = dof.workspace
    if space is None and not is_measured:
        raise ContractError(
            f"{where}: a delta of it can only be kept in its range if dof {dof.name} names a state, or has "
            f"a workspace that does"
        )
    if space is None:
        space = WorkspaceLimit(dof.name, -math.inf, math.inf)
    minimum, maximum = _common(space.minimum, space.maximum, limits, where)
    return replace(dof, workspace=WorkspaceLimit(space.state, minimum, maximum))


def _common(minimum: float, maximum: float, limits: tuple[float, float], where: str) -> tuple[float, float]:
    low, high = max(minimum, limits[0]), min(maximum, limits[1])
    if low >= high:
        raise ContractError(
            f"{where}: the contract permits [{minimum:g}, {maximum:g}] and the URDF "
            f"[{limits[0]:g}, {limits[1]:g}]: nothing in common"
        )
    return low, high
