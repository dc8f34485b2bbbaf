"""A chunk as markers for rviz and Foxglove."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from asyncvla_ros.view.chunk_view import ChunkView

# Thickness of the path, of an action, of one that was generated again [m].
LINE, BALL, CUBE = 0.004, 0.010, 0.014
# Should the visualizer die, its last words go away, too [s].
LIFETIME = 2


def chunk_markers(view: ChunkView, frame_id: str) -> MarkerArray:
    """The path as lines, actions as balls, and as cubes where they were generated again.

    Args:
        view: What to show.
        frame_id: Base frame of its points.
    """
    ends, again = view.points[1:], view.refined
    lines, pairs = view.segments.reshape(-1, 3), np.repeat(view.colours, 2, axis=0)
    parts = (
        ("path", Marker.LINE_LIST, LINE, lines, pairs),
        ("actions", Marker.SPHERE_LIST, BALL, ends[~again], view.colours[~again]),
        ("refined", Marker.CUBE_LIST, CUBE, ends[again], view.colours[again]),
    )
    return MarkerArray(markers=[_marker(frame_id, *part) for part in parts])


def no_markers() -> MarkerArray:
    """Takes away everything that was shown."""
    return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])


def _marker(
    frame_id: str, namespace: str, kind: int, size: float, points: np.ndarray, colours: np.ndarray
) -> Marker:
    """One marker of points (n, 3) [m] with colours (n, 4) in [0, 1]; without points one that deletes it."""
    marker = Marker(ns=namespace, type=kind, action=Marker.ADD if len(points) else Marker.DELETE)
    # Without a stamp the newest transform counts: the path stays with the robot's base.
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    marker.scale = Vector3(x=size, y=size, z=size)
    marker.lifetime = Duration(sec=LIFETIME)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in points.tolist()]
    marker.colors = [ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in colours.tolist()]
    return marker
