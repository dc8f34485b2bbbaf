"""A double of joint_trajectory_controller: what it accepts, and what it demands of the joints then.

It takes and refuses messages as ``validate_trajectory_msg`` does with default parameters; how it follows them
is ``asyncvla_ros.bench.safety_drivers``. It checks neither limits nor for NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.bench.safety_drivers import Trajectory, TrajectoryDriver
from asyncvla_ros.data.message_content import to_ns


class TrajectoryController:
    """Follows the trajectories it accepts, by splines from point to point.

    Args:
        joints: Its joints.
        position: (n,) where they are [m or rad].
        now_ns: Since when they stand there [ns].
        interpolates_from_desired: Its parameter ``interpolate_from_desired_state``.
    """

    def __init__(
        self,
        joints: Sequence[str],
        position: np.ndarray,
        now_ns: int,
        *,
        interpolates_from_desired: bool = True,
    ):
        self._joints = list(joints)
        self._driver = TrajectoryDriver(interpolate_from_desired=interpolates_from_desired)
        self.restart(position, now_ns)

    def restart(self, position: np.ndarray, now_ns: int) -> None:
        """Forget the trajectory, as at an activation, and hold (n,) ``position`` [m or rad]."""
        self._driver.restart(now_ns, np.asarray(position, float))

    def accept(self, message: JointTrajectory, now_ns: int) -> str:
        """Replace the current trajectory; return why the message is refused, else an empty text."""
        refusal = self._refusal(message)
        if refusal:
            return refusal
        order = [message.joint_names.index(joint) for joint in self._joints]

        def column(name: str) -> np.ndarray | None:
            rows = [getattr(point, name) for point in message.points]
            return np.array(rows, float)[:, order] if all(len(row) for row in rows) else None

        positions = column("positions")
        assert positions is not None
        # A stamp of zero is now.
        start_ns = to_ns(message.header.stamp) or now_ns
        times_ns = np.array([to_ns(point.time_from_start) for point in message.points])
        trajectory = Trajectory(start_ns, times_ns, positions, column("velocities"), column("accelerations"))
        return self._driver.receive(now_ns, trajectory)

    def _refusal(self, message: JointTrajectory) -> str:
        """Return what is wrong with the message at any time."""
        names = message.joint_names
        if len(names) != len(self._joints) or not set(names) <= set(self._joints):
            return f"joints: expected {self._joints}, found {list(names)}"
        if not message.points:
            return "empty"
        for point in message.points:
            sizes = {len(point.velocities), len(point.accelerations)} - {0}
            if len(point.positions) != len(names) or not sizes <= {len(names)}:
                return "sizes differ"
            if point.effort:
                return "effort without an effort interface"
        return ""

    def demand(self, now_ns: int) -> np.ndarray:
        """(n,) positions that it demands at ``now_ns``, not before it accepted the last trajectory."""
        return self._driver.demand(now_ns)

    def demand_many(self, times_ns: np.ndarray) -> np.ndarray:
        """(m, n) positions that it demanded at (m,) ascending times [ns], whatever came meanwhile."""
        return self._driver.demand_many(times_ns)
