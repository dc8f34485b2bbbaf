"""Geometry of a chunk's markers for rviz and Foxglove, independent of messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asyncvla_ros.view.chunk_view import ChunkView

# Constants of visualization_msgs/Marker.
LINE_LIST, CUBE_LIST, SPHERE_LIST = 5, 6, 7
ADD, DELETE, DELETE_ALL = 0, 2, 3
# Size of the path, of an action and of a refined action [m].
LINE, BALL, CUBE = 0.004, 0.010, 0.014
# Lifetime of a marker [s], so that markers disappear with their node.
LIFETIME = 2


@dataclass(frozen=True)
class MarkerPart:
    """One marker; without points it is deleted.

    Attributes:
        name: Its namespace.
        kind: ``LINE_LIST``, ``CUBE_LIST`` or ``SPHERE_LIST``.
        size: Size of its lines, cubes or balls [m].
        points: (n, 3) [m] in the base frame.
        colors: (n, 4) RGBA in [0, 1].
    """

    name: str
    kind: int
    size: float
    points: np.ndarray
    colors: np.ndarray

    @property
    def action(self) -> int:
        """``ADD`` or ``DELETE``."""
        return ADD if len(self.points) else DELETE


def marker_parts(view: ChunkView) -> tuple[MarkerPart, ...]:
    """Return the path as lines, actions as balls, and refined actions as cubes."""
    ends, again = view.points[1:], view.refined
    lines, pairs = view.segments.reshape(-1, 3), np.repeat(view.colors, 2, axis=0)
    return (
        MarkerPart("path", LINE_LIST, LINE, lines, colors=pairs),
        MarkerPart("actions", SPHERE_LIST, BALL, ends[~again], colors=view.colors[~again]),
        MarkerPart("refined", CUBE_LIST, CUBE, ends[again], colors=view.colors[again]),
    )
