"""Draws a chunk as markers for rviz and Foxglove."""

from __future__ import annotations

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from asyncvla_ros.view.chunk_view import ChunkView
from asyncvla_ros.view.markers import LIFETIME, MarkerPart, marker_parts


def chunk_markers(view: ChunkView, frame_id: str) -> MarkerArray:
    """Draw the path as lines, actions as balls, and refined actions as cubes.

    Args:
        view: The chunk to show.
        frame_id: Base frame of its points.
    """
    return MarkerArray(markers=[_marker(part, frame_id) for part in marker_parts(view)])


def no_markers() -> MarkerArray:
    """Return the message that removes all markers."""
    return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])


def _marker(part: MarkerPart, frame_id: str) -> Marker:
    marker = Marker(ns=part.name, type=part.kind, action=part.action)
    # Without a stamp the newest transform counts: the path stays with the robot's base.
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    marker.scale = Vector3(x=part.size, y=part.size, z=part.size)
    marker.lifetime = Duration(sec=LIFETIME)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in part.points.tolist()]
    marker.colors = [ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in part.colors.tolist()]
    return marker
