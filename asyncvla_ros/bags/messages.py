"""Messages without ROS: of any type by its name, whatever is not given is 0 or empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype

from asyncvla_ros.bags.types import typestore
from asyncvla_ros.common.transforms import state_to_pose
from asyncvla_ros.data.message_content import NS


class Messages:
    """Makes and serializes messages of the usual types, and of this package's."""

    def __init__(self) -> None:
        self.store = typestore(())

    def make(self, kind: str, **fields: Any) -> Any:
        """Make a message.

        Args:
            kind: Its type, such as ``std_msgs/msg/Header``.
            fields: Those that are not 0 or empty; arrays of numbers as NumPy arrays.

        Raises:
            KeyError: there is no such type.
            TypeError: it has no such field.
        """
        types = dict(self.store.fielddefs[kind][1])
        if unknown := set(fields) - set(types):
            raise TypeError(f"{kind} has no field {', '.join(sorted(unknown))}; it has {', '.join(types)}")
        return self.store.types[kind](
            **{name: fields[name] if name in fields else self._blank(of) for name, of in types.items()}
        )

    def _blank(self, of: Any) -> Any:
        node, description = of
        if node == Nodetype.BASE:
            base = description[0]
            return "" if base.endswith("string") else False if base == "bool" else 0
        if node == Nodetype.NAME:
            return self.make(description)
        element, length = description
        if element[0] == Nodetype.BASE and not element[1][0].endswith("string"):
            return np.zeros(length if node == Nodetype.ARRAY else 0, element[1][0])
        return [self._blank(element) for _ in range(length if node == Nodetype.ARRAY else 0)]

    def time(self, time_ns: int) -> Any:
        """Make a time message from nanoseconds."""
        return self.make("builtin_interfaces/msg/Time", sec=time_ns // NS, nanosec=time_ns % NS)

    def duration(self, duration_ns: int) -> Any:
        """Make a duration message from nanoseconds."""
        return self.make("builtin_interfaces/msg/Duration", sec=duration_ns // NS, nanosec=duration_ns % NS)

    def header(self, stamp_ns: int, frame_id: str = "") -> Any:
        """Make a header of ``stamp_ns`` [ns]."""
        return self.make("std_msgs/msg/Header", stamp=self.time(stamp_ns), frame_id=frame_id)

    def points(self, values: np.ndarray) -> Sequence[Any]:
        """Return Point messages of (n, 3) positions [m]."""
        return [self.make("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in values.tolist()]

    def pose(self, header: Any, state: np.ndarray) -> Any:
        """Make a PoseStamped message of a pose (9,), see ``transforms.pose_to_state``."""
        position, turn = (part.tolist() for part in state_to_pose(state))
        point = self.make("geometry_msgs/msg/Point", **dict(zip("xyz", position, strict=True)))
        rotation = self.make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", turn, strict=True)))
        pose = self.make("geometry_msgs/msg/Pose", position=point, orientation=rotation)
        return self.make("geometry_msgs/msg/PoseStamped", header=header, pose=pose)

    def serialize(self, message: Any) -> bytes:
        """Serialize a message as it travels and is recorded (CDR)."""
        return bytes(self.store.serialize_cdr(message, message.__msgtype__))
