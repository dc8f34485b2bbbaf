"""Duration and distance of a stop from full velocity, for each tracked dof of a contract."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.motion_limits import MotionLimits, motion_limits, stop_limits

# Number of accelerations at the start of a stop among which the worst is searched.
ACCELERATIONS = 257


@dataclass(frozen=True)
class WorstStop:
    """Duration [s] and distance [unit] of a stop."""

    time_s: float
    distance: float


@dataclass(frozen=True)
class DofStops:
    """The worst stops of one dof.

    Attributes:
        name: Of the dof.
        unit: Of the dof and of the distances.
        speed: Full velocity, at which the stops begin [unit/s].
        hold: Stop within the limits of the motion: hold, deactivation.
        emergency: Stop within the limits of the emergency stop.
    """

    name: str
    unit: str
    speed: float
    hold: WorstStop
    emergency: WorstStop


def stop_from(velocity: float, acceleration: float, max_acceleration: float, jerk: float) -> WorstStop:
    """Compute the quickest jerk-limited stop of a dof that moves forward.

    ::

        acceleration   a ╲                 the velocity rises to v + a²/2j meanwhile, ...
                       0  ╲            ╱   ... and is then braked along -max_acceleration, or along a
                           ╲__________╱    smaller peak where the velocity does not last so long

    Args:
        velocity: [unit/s]; ``velocity + acceleration² / (2 jerk)`` must not be negative.
        acceleration: In [0, ``max_acceleration``] [unit/s²].
        max_acceleration: [unit/s²].
        jerk: [unit/s³].
    """
    ease_s = acceleration / jerk
    peak = velocity + acceleration * ease_s / 2
    way = ease_s * (velocity + acceleration * ease_s / 3)
    if peak * jerk <= max_acceleration**2:
        brake_s = 2 * math.sqrt(max(0.0, peak) / jerk)
    else:
        brake_s = peak / max_acceleration + max_acceleration / jerk
    return WorstStop(ease_s + brake_s, way + peak * brake_s / 2)


def worst_stop(motion: MotionLimits, stop: MotionLimits) -> WorstStop:
    """Compute the longest duration and distance of a stop from any motion within its limits.

    A dof that accelerates is at ``speed - a²/(2j)`` at most, since it could not keep to its velocity limit
    otherwise; all accelerations from 0 to the limit are tried.

    Args:
        motion: Limits before the stop.
        stop: Limits of the stop, not below those of the motion.
    """
    speed = motion.speed
    largest = min(motion.acceleration, math.sqrt(2 * motion.jerk * speed))
    stops = []
    for index in range(ACCELERATIONS):
        acceleration = largest * index / (ACCELERATIONS - 1)
        velocity = speed - acceleration**2 / (2 * motion.jerk)
        stops.append(stop_from(velocity, acceleration, stop.acceleration, stop.jerk))
    return WorstStop(max(one.time_s for one in stops), max(one.distance for one in stops))


def stops(robot: RobotContract) -> tuple[DofStops, ...]:
    """Compute the worst stops of the tracked dofs, which have a velocity limit, in order."""
    period_s = robot.command_period_ns / 1e9
    found = []
    for dof in robot.dofs:
        if dof.velocity is None:
            continue
        motion = motion_limits(dof, period_s)
        hold, emergency = worst_stop(motion, motion), worst_stop(motion, stop_limits(dof, period_s))
        found.append(DofStops(dof.name, dof.unit, motion.speed, hold, emergency=emergency))
    return tuple(found)
