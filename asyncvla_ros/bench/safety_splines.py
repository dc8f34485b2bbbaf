"""A trajectory, and the polynomials by which joint_trajectory_controller joins its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Trajectory:
    """A trajectory_msgs/JointTrajectory in plain numbers.

    Attributes:
        start_ns: Its stamp, in true time [ns].
        times_ns: (k,) int64, times from start [ns].
        positions: (k, n) [unit].
        velocities: (k, n) [unit/s], None: none given.
        accelerations: (k, n) [unit/s²], None: none given.

    Raises:
        ValueError: accelerations without velocities, of which the driver would make a demand of 0.
    """

    start_ns: int
    times_ns: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray | None = None
    accelerations: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.accelerations is not None and self.velocities is None:
            raise ValueError("expected velocities beside accelerations, got none")

    @property
    def degree(self) -> int:
        """Of the polynomials between its points: 5, 3 or 1."""
        return 1 if self.velocities is None else 3 if self.accelerations is None else 5

    @property
    def states(self) -> np.ndarray:
        """(k, 3, n) position, velocity and acceleration; 0 where they are not given."""
        zeros = np.zeros_like(self.positions)
        given = (self.positions, self.velocities, self.accelerations)
        return np.stack([zeros if part is None else part for part in given], axis=1)


class Piece(NamedTuple):
    """A polynomial of a demand, which counts from ``since_ns`` until the next piece.

    Attributes:
        since_ns: [ns].
        begin_ns: Where its first state stands [ns].
        end_ns: Where its last state stands [ns].
        degree: 1: only the positions of its states count; 3: the velocities, too; 5: all.
        begin: (3, n) position, velocity and acceleration.
        end: (3, n) likewise.
    """

    since_ns: int
    begin_ns: int
    end_ns: int
    degree: int
    begin: np.ndarray
    end: np.ndarray


def coefficients(pieces: Sequence[Piece]) -> np.ndarray:
    """Return coefficients (pieces, 6, n) of rising powers of the share u of a piece's time that is over.

    Velocities and accelerations at both ends are times T and T² [unit], for the way w from end to end::

        linear    p0 + w u
        cubic     p0 + v0 u + (3 w - 2 v0 - v1) u² + (v0 + v1 - 2 w) u³
        quintic   p0 + v0 u + a0/2 u² + c3 u³ + c4 u⁴ + c5 u⁵
    """
    spans = np.array([(piece.end_ns - piece.begin_ns) / 1e9 for piece in pieces])[:, None]
    degrees = np.array([piece.degree for piece in pieces])
    begin = np.array([piece.begin for piece in pieces])
    end = np.array([piece.end for piece in pieces])
    way = end[:, 0] - begin[:, 0]
    v0, v1 = begin[:, 1] * spans, end[:, 1] * spans
    a0, a1 = begin[:, 2] * spans**2, end[:, 2] * spans**2
    zero = np.zeros_like(way)
    powers = {
        1: (way, zero, zero, zero, zero),
        3: (v0, 3 * way - 2 * v0 - v1, v0 + v1 - 2 * way, zero, zero),
        5: (
            v0,
            a0 / 2,
            10 * way - 6 * v0 - 4 * v1 - (3 * a0 - a1) / 2,
            -15 * way + 8 * v0 + 7 * v1 + (3 * a0 - 2 * a1) / 2,
            6 * way - 3 * (v0 + v1) - (a0 - a1) / 2,
        ),
    }
    result = np.empty((len(pieces), 6, way.shape[1]))
    result[:, 0] = begin[:, 0]
    for degree, columns in powers.items():
        chosen = degrees == degree
        result[chosen, 1:] = np.stack(columns, axis=1)[chosen]
    return result


def horner(rows: np.ndarray, at: np.ndarray | float) -> np.ndarray:
    """Evaluate at ``at`` the polynomial with coefficients ``rows`` of rising powers."""
    value = rows[-1]
    for row in rows[-2::-1]:
        value = value * at + row
    return value
