"""Clearance of an open gripper between boxes."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.libero.boxes import Obstacles

#: Edges shorter than this, seen from above, count as vertical [m].
_VERTICAL_M = 1e-6
#: The open gripper as boxes: half size along and across the closing direction, and height of the underside
#: above the grasp point [m]. Fingers, palm, wrist end of the hand, flange.
_PARTS_M = ((0.068, 0.011, -0.014), (0.102, 0.023, 0.026), (0.105, 0.033, 0.085), (0.06, 0.06, 0.125))
#: Clearance below which a box blocks the opening of the fingers [m].
_RELEASE_MARGIN_M = 0.004


def closing_axes(yaw: float) -> np.ndarray:
    """Return unit vectors (2, 2) along and across the closing direction of the fingers."""
    return np.array([[-np.sin(yaw), np.cos(yaw)], [np.cos(yaw), np.sin(yaw)]])


def tilt_rotation(yaw: float, tilt: float) -> np.ndarray:
    """Return the rotation (3, 3) of an upright gripper about its closing direction; see ``grasp.Grasp``."""
    return Rotation.from_rotvec(tilt * np.array([-np.sin(yaw), np.cos(yaw), 0.0])).as_matrix()


def part_gaps(point: np.ndarray, yaw: float, obstacles: Obstacles, half: tuple[float, float]) -> np.ndarray:
    """Compute horizontal distances of boxes from a rectangle around the grasp point, negative for overlaps.

    Args:
        point: (2,) or longer, the grasp point [m].
        yaw: see ``grasp.Grasp`` [rad].
        obstacles: n boxes.
        half: half the size of the rectangle along and across the closing direction [m].

    Returns:
        (n,) [m].
    """
    axes = closing_axes(yaw)
    part_edges = np.array(half)[:, None] * axes
    to_box, box_edges = obstacles.center[:, :2] - point[:2], obstacles.edges[:, :, :2]
    # Both outlines are convex: they are apart if the normal of some edge separates them.
    across = np.stack([-box_edges[..., 1], box_edges[..., 0]], axis=2)
    length = np.linalg.norm(across, axis=2, keepdims=True)
    # A vertical edge is a point in this projection, without a normal; use the closing direction instead.
    across = np.where(length > _VERTICAL_M, across / np.maximum(length, _VERTICAL_M), axes[0])
    normals = np.concatenate([np.broadcast_to(axes, (len(to_box), 2, 2)), across], axis=1)
    apart = np.abs(np.einsum("nad,nd->na", normals, to_box))
    box_half = np.abs(np.einsum("nad,ned->nae", normals, box_edges)).sum(axis=2)
    part_half = np.abs(np.einsum("nad,ed->nae", normals, part_edges)).sum(axis=2)
    return np.asarray((apart - box_half - part_half).max(axis=1))


def clearance(point: np.ndarray, yaw: float, obstacles: Obstacles, tilt: float = 0.0) -> float:
    """Compute the clearance of the open gripper from boxes across its way to a grasp [m].

    Args:
        point: (3,) the grasp point [m].
        yaw: see ``grasp.Grasp`` [rad].
        obstacles: boxes, of which there may be none.
        tilt: see ``grasp.Grasp`` [rad].

    Returns:
        The clearance: negative for an overlap, infinite if no box reaches up to the gripper.
    """
    if tilt:
        # In the frame of the hand the boxes are turned.
        turn = tilt_rotation(yaw, tilt)
        obstacles = Obstacles(point + (obstacles.center - point) @ turn, obstacles.edges @ turn)
    least = np.inf
    for half_along, half_across, underside in _PARTS_M:
        gaps = part_gaps(point, yaw, obstacles, (half_along, half_across))
        reached = obstacles.high[:, 2] > point[2] + underside
        least = min(least, float(gaps[reached].min(initial=np.inf)))
    return least


def free_height(xy: np.ndarray, yaw: float, obstacles: Obstacles) -> float:
    """Return the least height of a grasp point at ``xy`` (2,) [m] at which the gripper touches no box [m]."""
    lowest = -np.inf
    for half_along, half_across, underside in _PARTS_M:
        gaps = part_gaps(xy, yaw, obstacles, (half_along, half_across))
        top = obstacles.high[gaps < _RELEASE_MARGIN_M, 2].max(initial=-np.inf)
        lowest = max(lowest, float(top) - underside)
    return lowest
