"""A double of joint_trajectory_controller: what it accepts, and how it joins what it accepted.

Its rules with default parameters, from ros2_controllers: the checks of a message, and "Trajectory
Representation" in the documentation. It checks neither limits nor for NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.ros.conversions import to_ns

FLOAT_EPSILON = float(np.finfo(np.float32).eps)


class TrajectoryController:
    """Follows the trajectories it accepts, by cubic polynomials from where it is to the first point and on.

    Args:
        joints: Its joints.
        position: (n,) where they are [m or rad].
        now_ns: Since when they stand there [ns].
    """

    def __init__(self, joints: Sequence[str], position: np.ndarray, now_ns: int):
        self._joints = list(joints)
        # Knots: time [ns], (n,) position, (n,) velocity or None for straight lines.
        self._knots: list[tuple[int, np.ndarray, np.ndarray | None]] = [
            (now_ns, np.asarray(position, float), np.zeros(len(joints)))
        ]

    def accept(self, message: JointTrajectory, now_ns: int) -> str:
        """Replaces the current trajectory; the reason if the message is refused, else empty."""
        refusal = self._refusal(message, now_ns)
        if refusal:
            return refusal
        order = [message.joint_names.index(joint) for joint in self._joints]
        start_ns = to_ns(message.header.stamp) or now_ns
        position, velocity = self.sample(now_ns)
        self._knots = [(now_ns, position, velocity)]
        for point in message.points:
            time_ns = start_ns + to_ns(point.time_from_start)
            speed = np.array(point.velocities)[order] if point.velocities else None
            if time_ns <= now_ns:
                self._knots.clear()
            self._knots.append((time_ns, np.array(point.positions)[order], speed))
        return ""

    def _refusal(self, message: JointTrajectory, now_ns: int) -> str:
        names, points = message.joint_names, message.points
        if len(names) != len(self._joints) or not set(names) <= set(self._joints):
            return f"joints: expected {self._joints}, found {list(names)}"
        if not points:
            return "empty"
        if any(abs(speed) > FLOAT_EPSILON for speed in points[-1].velocities):
            return "the last velocity is not zero"
        times = [to_ns(point.time_from_start) for point in points]
        start_ns = to_ns(message.header.stamp)
        if start_ns and start_ns + times[-1] < now_ns:
            return "ends in the past"
        if any(later <= earlier for earlier, later in pairwise(times)):
            return "times do not increase"
        for point in points:
            sizes = {len(point.velocities), len(point.accelerations)} - {0}
            if len(point.positions) != len(names) or not sizes <= {len(names)}:
                return "sizes differ"
            if point.effort:
                return "effort without an effort interface"
        return ""

    def sample(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """(n,) position and (n,) velocity that it wants at ``now_ns``."""
        for begin, end in pairwise(self._knots):
            if begin[0] <= now_ns < end[0]:
                return _between(begin, end, now_ns)
        first = now_ns < self._knots[0][0]
        position = self._knots[0 if first else -1][1]
        return position, np.zeros_like(position)


def _between(
    begin: tuple[int, np.ndarray, np.ndarray | None],
    end: tuple[int, np.ndarray, np.ndarray | None],
    now_ns: int,
) -> tuple[np.ndarray, np.ndarray]:
    span = (end[0] - begin[0]) / 1e9
    s = (now_ns - begin[0]) / 1e9 / span
    way = end[1] - begin[1]
    if begin[2] is None or end[2] is None:
        return begin[1] + s * way, way / span
    v0, v1 = begin[2] * span, end[2] * span
    position = begin[1] + v0 * s + (3 * way - 2 * v0 - v1) * s**2 + (v0 + v1 - 2 * way) * s**3
    slope = v0 + 2 * (3 * way - 2 * v0 - v1) * s + 3 * (v0 + v1 - 2 * way) * s**2
    return position, slope / span
