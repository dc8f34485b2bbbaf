"""A joint_trajectory_controller without a robot: messages to the model of it that benchmarks judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from asyncvla_ros.bench.safety_drivers import TrajectoryDriver
from asyncvla_ros.bench.safety_splines import Trajectory
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros.bench.arm import JOINTS


def trajectory(message: JointTrajectory, offset_ns: int = 0) -> Trajectory:
    """Convert a message; ``offset_ns`` [ns] is subtracted from its stamp.

    Raises:
        ValueError: it is not of the joints of the bench arm in their order, or its points are uneven.
    """
    if tuple(message.joint_names) != JOINTS:
        raise ValueError(f"expected the joints {', '.join(JOINTS)}, got {', '.join(message.joint_names)}")
    points = message.points
    return Trajectory(
        to_ns(message.header.stamp) - offset_ns,
        np.array([to_ns(point.time_from_start) for point in points], np.int64),
        np.array([point.positions for point in points]),
        _given([point.velocities for point in points]),
        accelerations=_given([point.accelerations for point in points]),
    )


def _given(rows: Sequence[Sequence[float]]) -> np.ndarray | None:
    return np.array(rows) if any(len(row) for row in rows) else None


class LoggedDriver:
    """Follow trajectories from the demanded position, and log them for the judge.

    A log entry is the message as it came, its frame the time [ns, system clock] at which it did; the first
    one has one point, where the driver stands.

    Args:
        position: (6,) where it stands [rad].
        now_ns: [ns, system clock].
    """

    def __init__(self, position: np.ndarray, now_ns: int):
        self._model = TrajectoryDriver(interpolate_from_desired=True)
        self._model.restart(now_ns, position)
        point = JointTrajectoryPoint(positions=position.tolist())
        self.first_entry = JointTrajectory(joint_names=list(JOINTS), points=[point])
        self.first_entry.header.frame_id = str(now_ns)

    def receive(self, message: JointTrajectory, arrived_ns: int) -> JointTrajectory:
        """Follow a trajectory from ``arrived_ns`` [ns, system clock] on; return the log entry."""
        self._model.receive(arrived_ns, trajectory(message))
        self._model.forget(arrived_ns)
        message.header.frame_id = str(arrived_ns)
        return message

    def demand(self, now_ns: int) -> np.ndarray:
        """Return the (6,) positions demanded at ``now_ns`` [ns, system clock]."""
        return self._model.demand(now_ns)
