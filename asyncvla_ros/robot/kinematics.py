"""Forward kinematics of one chain of a URDF (numpy only; rotations as in transforms.py)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.robot.urdf import link_of, robot_element
from asyncvla_ros.types import ContractError

TURNING = ("revolute", "continuous")
KINDS = (*TURNING, "prismatic", "fixed")


@dataclass(frozen=True)
class Joint:
    """One joint of a chain.

    Attributes:
        name: As in the URDF and in ``sensor_msgs/JointState``.
        kind: One of ``KINDS``.
        origin: (4, 4) pose_joint_in_parent at position 0 [m].
        axis: (3,) unit vector in the joint's frame.
    """

    name: str
    kind: str
    origin: np.ndarray
    axis: np.ndarray

    def transform(self, position: float) -> np.ndarray:
        """Return (4, 4) pose_child_in_parent at a position [rad or m]."""
        moved = np.eye(4)
        if self.kind in TURNING:
            moved[:3, :3] = _turn(self.axis, position)
        else:
            moved[:3, 3] = position * self.axis
        return self.origin @ moved


@dataclass(frozen=True)
class Chain:
    """The joints between two links of a robot, from the base outwards."""

    joints: tuple[Joint, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The joints that move, in order."""
        return tuple(joint.name for joint in self.joints if joint.kind != "fixed")

    def points(self, positions: np.ndarray) -> np.ndarray:
        """Compute the positions of the last link's origin for many poses at once.

        Args:
            positions: (k, n) positions of the joints ``names`` [rad or m].

        Returns:
            (k, 3) float64 in the base frame [m].
        """
        points = np.zeros((len(positions), 3))
        column = positions.shape[1]
        for joint in reversed(self.joints):
            if joint.kind == "prismatic":
                column -= 1
                points = points + positions[:, column, None] * joint.axis
            elif joint.kind in TURNING:
                column -= 1
                points = _turned(joint.axis, positions[:, column], points)
            points = points @ joint.origin[:3, :3].T + joint.origin[:3, 3]
        return points

    def pose(self, positions: Mapping[str, float]) -> np.ndarray:
        """Compute the pose of the last link.

        ::

            pose_tip_in_base = T_1(q_1) T_2(q_2) ... T_n(q_n)

        Args:
            positions: Joint name to position [rad or m]; needs all of ``names``.

        Returns:
            (4, 4) float64 homogeneous transform [m].

        Raises:
            ContractError: the position of a joint is missing.
        """
        missing = [name for name in self.names if name not in positions]
        if missing:
            raise ContractError(
                f"the position of joint {', '.join(missing)} is missing; known are {', '.join(positions)}"
            )
        pose = np.eye(4)
        for joint in self.joints:
            pose = pose @ joint.transform(positions.get(joint.name, 0.0))
        return pose


def load_chain(urdf: str, base: str, tip: str) -> Chain:
    """Return the chain from link ``base`` to link ``tip``.

    Args:
        urdf: The XML of a robot description.
        base: Frame of the poses.
        tip: Link whose pose is computed.

    Raises:
        ContractError: no valid URDF, an unknown link, no chain between the two, or an unsupported joint.
    """
    root = robot_element(urdf, "robot description")
    links = [link.get("name", "") for link in root.findall("link")]
    for link in (base, tip):
        if link not in links:
            raise ContractError(f"robot description: no link {link!r}; the links are {', '.join(links)}")
    # Only joints between links count; <ros2_control> and <transmission> name joints, too.
    above = {link_of(joint, "child"): joint for joint in root.findall("joint")}
    joints: list[Joint] = []
    link = tip
    while link != base:
        if link not in above or len(joints) == len(links):
            raise ContractError(f"robot description: {tip} does not hang on {base}, the chain ends at {link}")
        joints.insert(0, _joint(above[link]))
        link = link_of(above[link], "parent")
    return Chain(tuple(joints))


def _joint(element: ElementTree.Element) -> Joint:
    name, kind = element.get("name", ""), element.get("type", "")
    if kind not in KINDS or element.find("mimic") is not None:
        found = "a mimic joint" if kind in KINDS else f"a joint of type {kind!r}"
        raise ContractError(
            f"robot description: {name} is {found}; the choices on the way to the tip are {', '.join(KINDS)}"
        )
    origin = np.eye(4)
    roll, pitch, yaw = _vector(element, "origin", "rpy", (0.0, 0.0, 0.0))
    x, y, z = np.eye(3)
    origin[:3, :3] = _turn(z, yaw) @ _turn(y, pitch) @ _turn(x, roll)
    origin[:3, 3] = _vector(element, "origin", "xyz", (0.0, 0.0, 0.0))
    axis = _vector(element, "axis", "xyz", (1.0, 0.0, 0.0))
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        raise ContractError(f"robot description: the axis of {name} has no length")
    return Joint(name, kind, origin, axis / length)


def _vector(
    element: ElementTree.Element, tag: str, key: str, default: tuple[float, float, float]
) -> np.ndarray:
    """Return (3,) float64 of an attribute such as ``<origin xyz="0 0 1"/>``."""
    child = element.find(tag)
    text = None if child is None else child.get(key)
    try:
        values = np.array(default if text is None else [float(word) for word in text.split()])
    except ValueError:
        values = np.zeros(0)
    if values.shape != (3,) or not np.isfinite(values).all():
        raise ContractError(
            f"robot description: {tag} {key} of {element.get('name')}: expected three finite numbers, found "
            f"{text!r}"
        )
    return values


def _turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """Return the rotation (3, 3) about a unit vector by an angle [rad], after Rodrigues."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def _turned(axis: np.ndarray, angles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Turn points (k, 3) about a unit vector by angles (k,) [rad], after Rodrigues."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along = (points @ axis)[:, None] * axis
    return along + cos * (points - along) + sin * np.cross(axis, points)
