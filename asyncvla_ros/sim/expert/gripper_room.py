"""Clearance of an open gripper between boxes, for one grasp point or, with leading dims, for many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.libero.boxes import Obstacles

#: Edges shorter than this, seen from above, count as vertical [m].
_VERTICAL_M = 1e-6
#: The open gripper as boxes: half size along and across the closing direction, and height of the underside
#: above the grasp point [m]. Fingers, palm, wrist end of the hand, flange.
_PARTS_M = np.array(
    [(0.068, 0.011, -0.014), (0.102, 0.023, 0.026), (0.105, 0.033, 0.085), (0.06, 0.06, 0.125)]
)
_HALF_M, _UNDERSIDE_M = _PARTS_M[:, :2], _PARTS_M[:, 2]
#: Clearance below which a box blocks the opening of the fingers [m].
_RELEASE_MARGIN_M = 0.004


def closing_axes(yaw: ArrayLike) -> np.ndarray:
    """Return unit vectors along and across the closing direction of the fingers, (...) -> (..., 2, 2)."""
    s, c = np.sin(yaw), np.cos(yaw)
    return np.stack([np.stack([-s, c], axis=-1), np.stack([c, s], axis=-1)], axis=-2)


def tilt_rotation(yaw: ArrayLike, tilt: ArrayLike) -> np.ndarray:
    """Return rotations of an upright gripper about its closing direction, (...) -> (..., 3, 3).

    See ``grasp.Grasp``.
    """
    yaw, tilt = np.broadcast_arrays(yaw, tilt)
    axis = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros(yaw.shape)], axis=-1)
    turns = Rotation.from_rotvec((tilt[..., None] * axis).reshape(-1, 3)).as_matrix()
    return turns.reshape(*yaw.shape, 3, 3)


def part_gaps(point: np.ndarray, yaw: ArrayLike, obstacles: Obstacles) -> np.ndarray:
    """Compute horizontal distances of boxes from the parts of a gripper, negative for overlaps.

    Args:
        point: (..., 2) or (..., 3) grasp points [m].
        yaw: (...) see ``grasp.Grasp`` [rad].
        obstacles: n boxes, for each grasp point its own or for all the same.

    Returns:
        (..., parts, n) [m].
    """
    to_box = _xy(obstacles.center[..., :2] - point[..., None, :2])
    edges = [_xy(obstacles.edges[..., number, :]) for number in range(3)]
    axes = [_xy(closing_axes(yaw)[..., None, number, :]) for number in range(2)]
    gaps = np.full((len(_HALF_M), *to_box[0].shape), -np.inf)
    # Both outlines are convex: they are apart if the normal of some edge separates them.
    for x, y in (*axes, *((-y, x) for x, y in edges)):
        length = np.hypot(x, y)
        normal = x / np.maximum(length, _VERTICAL_M), y / np.maximum(length, _VERTICAL_M)
        apart = np.abs(_dot(normal, to_box)) - sum(np.abs(_dot(normal, edge)) for edge in edges)
        # A vertical edge is a point in this projection, without a normal.
        apart = np.where(length > _VERTICAL_M, apart, -np.inf)
        along, across = (np.abs(_dot(normal, axis)) for axis in axes)
        for part, (half_along, half_across) in enumerate(_HALF_M):
            np.maximum(gaps[part], apart - half_along * along - half_across * across, out=gaps[part])
    return np.moveaxis(gaps, 0, -2)


def _xy(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of vectors (..., 2) or (..., 3), each contiguous, for fast arithmetic."""
    return np.ascontiguousarray(vectors[..., 0]), np.ascontiguousarray(vectors[..., 1])


def _dot(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the dot products of vectors as of ``_xy``."""
    return np.asarray(one[0] * other[0] + one[1] * other[1])


def clearance(point: np.ndarray, yaw: ArrayLike, obstacles: Obstacles, tilt: ArrayLike = 0.0) -> np.ndarray:
    """Compute the clearance of the open gripper from boxes across its way to a grasp [m].

    Args:
        point: (..., 3) grasp points [m].
        yaw: (...) see ``grasp.Grasp`` [rad].
        obstacles: boxes, of which there may be none.
        tilt: (...) see ``grasp.Grasp`` [rad].

    Returns:
        (...): negative for an overlap, infinite if no box reaches up to the gripper.
    """
    if np.any(tilt):
        # In the frame of the hand the boxes are turned.
        turn, at = tilt_rotation(yaw, tilt), point[..., None, :]
        edges = (obstacles.edges.reshape(-1, 3) @ turn).reshape(*turn.shape[:-2], -1, 3, 3)
        obstacles = Obstacles(at + (obstacles.center - at) @ turn, edges)
    gaps = part_gaps(point, yaw, obstacles)
    undersides = point[..., 2, None] + _UNDERSIDE_M
    reached = obstacles.top[..., None, :] > undersides[..., None]
    return np.asarray(gaps.min(axis=(-2, -1), where=reached, initial=np.inf))


def free_height(xy: np.ndarray, yaw: ArrayLike, obstacles: Obstacles) -> np.ndarray:
    """Compute the least height of a grasp point at which the gripper touches no box [m].

    Args:
        xy: (..., 2) where that point is [m].
        yaw: (...) see ``grasp.Grasp`` [rad].
        obstacles: boxes, of which there may be none.

    Returns:
        (...): minus infinity where there is none.
    """
    gaps = part_gaps(xy, yaw, obstacles)
    tops = obstacles.top[..., None, :] - _UNDERSIDE_M[:, None]
    tops = np.broadcast_to(tops, gaps.shape)
    return np.asarray(tops.max(axis=(-2, -1), where=gaps < _RELEASE_MARGIN_M, initial=-np.inf))
