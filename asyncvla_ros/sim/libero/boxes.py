"""Boxes around the colliding geometry of a MuJoCo model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in the world frame [m]; ``low`` and ``high`` are (3,)."""

    low: np.ndarray
    high: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """(3,) center of the box [m]."""
        return (self.low + self.high) / 2

    @property
    def size(self) -> np.ndarray:
        """(3,) edge lengths [m]."""
        return self.high - self.low


@dataclass(frozen=True)
class Obstacles:
    """Boxes in the world frame, of any orientation [m].

    Attributes:
        center: (..., n, 3) centers of the boxes.
        edges: (..., n, 3, 3) vectors from the center of each box to the centers of three of its faces.
    """

    center: np.ndarray
    edges: np.ndarray

    @property
    def low(self) -> np.ndarray:
        """(..., n, 3) lower corners of the axis-aligned boxes around them."""
        return np.asarray(self.center - np.abs(self.edges).sum(axis=-2))

    @property
    def high(self) -> np.ndarray:
        """(..., n, 3) upper corners of the axis-aligned boxes around them."""
        return np.asarray(self.center + np.abs(self.edges).sum(axis=-2))

    @property
    def top(self) -> np.ndarray:
        """(..., n) height of their highest points."""
        return np.asarray(self.center[..., 2] + np.abs(self.edges[..., 2]).sum(axis=-1))


def geom_boxes(model: Any, data: Any, geoms: np.ndarray) -> Obstacles:
    """Compute boxes around geoms, each aligned with its geom.

    Args:
        model: ``MjModel``.
        data: ``MjData``.
        geoms: (n,) ids of the geoms.
    """
    rotations = data.geom_xmat[geoms].reshape(-1, 3, 3)
    centers = data.geom_xpos[geoms] + np.einsum("gij,gj->gi", rotations, model.geom_aabb[geoms, :3])
    return Obstacles(centers, np.einsum("gij,gj->gji", rotations, model.geom_aabb[geoms, 3:]))


def colliding_geoms(model: Any, root: int) -> np.ndarray:
    """Return the ids of an object's colliding geoms, over all its bodies.

    Args:
        model: ``MjModel``.
        root: Id of its root body.
    """
    bodies = {root}
    # Bodies are numbered depth first, so a parent always comes before its children.
    for body in range(root + 1, model.nbody):
        if model.body_parentid[body] in bodies:
            bodies.add(body)
    collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    return np.flatnonzero(np.isin(model.geom_bodyid, sorted(bodies)) & collides)
