"""Where to close the fingers on an object so that fingers and palm clear what stands around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.scene import Box, Scene

#: Gripper straight down, fingers closing along world y.
_DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
_WIDEST_GRIP_M = 0.072
_FINGER_OPENING_M = 0.08
_FINGER_HALF_WIDTH_M = 0.011
#: Misalignment across the fingers at which a grip still holds [m].
_ACROSS_TOLERANCE_M = 0.012
#: Distance to neighbours beyond which more makes no difference [m].
_MARGIN_M = 0.008
#: The open gripper as boxes: half size along and across the closing direction, and underside above the
#: grip point [m]. Fingers, palm, wrist end of the hand.
_PARTS_M = ((0.068, 0.011, -0.014), (0.102, 0.023, 0.026), (0.105, 0.033, 0.085))
_YAWS_DEG = (0.0, 15.0, -15.0, 30.0, -30.0, 90.0)
_SHIFTS_M = (0.0, 0.012, -0.012, 0.024, -0.024)


@dataclass(frozen=True)
class Grip:
    """A way to hold the target.

    Attributes:
        offset: (3,) grip point relative to the target's body [m, world axes].
        yaw: turn about world z of fingers that close along world y [rad].
        tolerance: (2,) misalignment along and across the closing direction at which the fingers still
            straddle the object [m].
    """

    offset: np.ndarray
    yaw: float
    tolerance: np.ndarray

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) orientation of the gripper in the world."""
        return Rotation.from_euler("z", self.yaw).as_matrix() @ _DOWN

    def misalignment(self, to_grip: np.ndarray) -> float:
        """How far (3,) ``to_grip`` [m, world axes] exceeds the tolerance [m]; 0 when aligned."""
        along_across = closing_axes(self.yaw) @ to_grip[:2]
        return float(np.clip(np.abs(along_across) - self.tolerance, 0.0, None).max())


def closing_axes(yaw: float) -> np.ndarray:
    """(2, 2): unit vectors along and across the direction in which the fingers close."""
    return np.array([[-np.sin(yaw), np.cos(yaw)], [np.cos(yaw), np.sin(yaw)]])


def grip_height(box: Box) -> float:
    """Height at which to hold a box [m]: near the top of tall ones, just above the ground for flat ones."""
    return float(max(box.low[2] + 0.012, box.high[2] - 0.035))


def clearance(point: np.ndarray, yaw: float, obstacles: tuple[np.ndarray, np.ndarray]) -> float:
    """Least horizontal distance between the open gripper, lowered onto a point, and boxes in its way [m].

    Args:
        point: (3,) grip point [m].
        yaw: see :class:`Grip` [rad].
        obstacles: lower and upper corners of the boxes, (n, 3) each [m].

    Returns:
        Negative when they overlap, infinite when nothing reaches up to the gripper.
    """
    low, high = obstacles
    to_box = (low[:, :2] + high[:, :2]) / 2 - point[:2]
    half_box = (high[:, :2] - low[:, :2]) / 2
    axes = closing_axes(yaw)
    least = np.inf
    for half_along, half_across, underside in _PARTS_M:
        reached = high[:, 2] > point[2] + underside
        if not reached.any():
            continue
        half_part = np.array([half_along, half_across])
        # Separating axes of two rectangles: those of the part, then those of the boxes.
        gaps = np.concatenate(
            [
                np.abs(to_box @ axes.T) - half_part - half_box @ np.abs(axes.T),
                np.abs(to_box) - half_box - half_part @ np.abs(axes),
            ],
            axis=1,
        ).max(axis=1)
        least = min(least, float(gaps[reached].min()))
    return least


def choose_grip(scene: Scene, rank: int = 0) -> Grip:
    """Where to hold the target as it lies now.

    Args:
        scene: the scene.
        rank: 0 for the best grip, 1 for the next one, ...
    """
    name = scene.target_object
    body = scene.body_position(name)
    if "bowl" in name:
        # The rim, as constants: the box is not reliable while a bowl still rocks.
        return Grip(np.array([0.0, 0.0495, 0.040]), 0.0, np.array([0.006, 0.006]))
    grips = box_grips(scene.object_box(name), body)
    obstacles = scene.obstacle_boxes(name)
    distances = [min(clearance(body + grip.offset, grip.yaw, obstacles), _MARGIN_M) for grip in grips]
    # A stable sort: among equally clear grips the plainer one comes first.
    order = np.argsort(-np.array(distances), kind="stable")
    return grips[order[rank % len(grips)]]


def box_grips(box: Box, body: np.ndarray) -> list[Grip]:
    """Ways to hold a box whose body is at (3,) ``body`` [m], the plainest first."""
    point = np.array([*box.centre[:2], grip_height(box)])
    widest = max(_WIDEST_GRIP_M, float(box.size[:2].min()))
    grips = []
    for yaw_deg, shift in sorted(product(_YAWS_DEG, _SHIFTS_M), key=_plainness):
        sideways = yaw_deg == 90.0
        length, width = box.size[1::-1] if sideways else box.size[:2]
        turn = 0.0 if sideways else abs(np.radians(yaw_deg))
        width = width / np.cos(turn) + 2 * _FINGER_HALF_WIDTH_M * np.tan(turn)
        if width > widest or abs(shift) > max(0.0, length / 2 - _FINGER_HALF_WIDTH_M):
            continue
        slack = min((_FINGER_OPENING_M - width) / 2 - 0.003, _ACROSS_TOLERANCE_M)
        shifted = point + np.array([0.0, shift, 0.0] if sideways else [shift, 0.0, 0.0])
        grips.append(
            Grip(
                shifted - body, float(np.radians(yaw_deg)), np.array([max(slack, 0.004), _ACROSS_TOLERANCE_M])
            )
        )
    return grips


def _plainness(candidate: tuple[float, float]) -> float:
    """Cost of a yaw [deg] and a shift [m]: 12 mm off the centre are as bad as a turn by 10 degrees."""
    yaw_deg, shift = candidate
    return abs(yaw_deg) + abs(shift) * 10.0 / 0.012
