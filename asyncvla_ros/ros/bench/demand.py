"""What trajectories that arrived make a driver demand: positions, speeds and rest, in steady time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.bench.safety_drivers import TrajectoryDriver
from asyncvla_ros.bench.safety_splines import Piece, Trajectory, coefficients, horner
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros.bench.arm_driver import trajectory

# A demand is looked at so often [ns]: of no simple share of a period, so that it meets every phase.
GRID_NS = 944_271
# A demand that changes by less from one look to the next stands [rad].
STANDING = 1e-9
# It rests when it stands for so long [ns]; a hold may move it later on.
STANDING_NS = 25_000_000


class ReceivedTrajectory(NamedTuple):
    """An entry of a driver's log, see ``LoggedDriver``.

    Attributes:
        arrived_ns: When the trajectory came [ns, steady].
        stamp_ns: Its stamp as it was sent [ns, system clock]; 0: the driver began then, and stood.
        trajectory: In steady time.
        measured: (6,) where the joints were [rad].
    """

    arrived_ns: int
    stamp_ns: int
    trajectory: Trajectory
    measured: np.ndarray

    @property
    def is_begin(self) -> bool:
        """Whether it is no trajectory, but says where a driver stood when it began."""
        return self.stamp_ns == 0


def received(entry: JointTrajectory, measured: np.ndarray, offset_ns: int) -> ReceivedTrajectory:
    """Convert a log entry to steady time.

    Args:
        entry: Of the log.
        measured: (6,) where the joints are [rad].
        offset_ns: How far the system clock is ahead of the steady one [ns].
    """
    arrived_ns = int(entry.header.frame_id) - offset_ns
    return ReceivedTrajectory(arrived_ns, to_ns(entry.header.stamp), trajectory(entry, offset_ns), measured)


def state_at(way: Trajectory, at_ns: int) -> np.ndarray:
    """Return the (3, 6) position [rad], velocity [rad/s] and acceleration [rad/s²] of a trajectory."""
    times = way.start_ns + way.times_ns
    states = way.states
    index = int(np.searchsorted(times, at_ns, side="right")) - 1
    if index < 0 or index + 1 == len(times):
        return states[max(index, 0)]
    begin_ns, end_ns = int(times[index]), int(times[index + 1])
    rows = coefficients(
        [Piece(at_ns, begin_ns, end_ns, way.degree, begin=states[index], end=states[index + 1])]
    )[0]
    span_s, share = (end_ns - begin_ns) / 1e9, (at_ns - begin_ns) / (end_ns - begin_ns)
    state = np.empty((3, rows.shape[1]))
    for order in range(3):
        state[order] = horner(rows, share) / span_s**order
        rows = np.arange(1, len(rows))[:, None] * rows[1:]
    return state


class Demand(NamedTuple):
    """(m,) times [ns, steady], ``GRID_NS`` apart, and (m, 6) positions demanded then [rad]."""

    times_ns: np.ndarray
    positions: np.ndarray

    @property
    def speeds(self) -> np.ndarray:
        """(m - 1, 6) mean speeds between two times [rad/s]."""
        return np.abs(np.diff(self.positions, axis=0)) / (GRID_NS / 1e9)

    def rest_ns(self, after_ns: int) -> int | None:
        """Return when it first comes to rest after ``after_ns`` [ns, steady]; None: never."""
        is_still = np.abs(np.diff(self.positions, axis=0)).max(axis=1) <= STANDING
        looks = STANDING_NS // GRID_NS
        for index in np.flatnonzero(self.times_ns >= after_ns):
            if len(is_still) >= index + looks and is_still[index : index + looks].all():
                return int(self.times_ns[index])
        return None

    def until(self, end_ns: int) -> Demand:
        """Return the part before ``end_ns`` [ns, steady]."""
        count = int(np.searchsorted(self.times_ns, end_ns))
        return Demand(self.times_ns[:count], self.positions[:count])


def demand_between(entries: Sequence[ReceivedTrajectory], begin_ns: int, end_ns: int) -> Demand:
    """Replay a log to a driver that interpolates from the demanded position; return its demand.

    Args:
        entries: In order; a trajectory that has begun when it arrives says by itself what is demanded, so one
            that came before ``begin_ns`` is enough.
        begin_ns: First time of the demand [ns, steady].
        end_ns: End of the demand [ns, steady].

    Raises:
        ValueError: there is no entry before ``begin_ns``.
    """
    known = [entry for entry in entries if entry.arrived_ns <= end_ns]
    if not known or known[0].arrived_ns > begin_ns:
        raise ValueError(f"expected a trajectory from before {begin_ns}")
    driver = TrajectoryDriver(interpolate_from_desired=True)
    driver.restart(known[0].arrived_ns, known[0].trajectory.positions[0])
    for entry in known:
        if entry.is_begin:
            driver.restart(entry.arrived_ns, entry.trajectory.positions[0])
        else:
            driver.receive(entry.arrived_ns, entry.trajectory)
    times = np.arange(begin_ns, end_ns, GRID_NS)
    return Demand(times, driver.demand_many(times))
