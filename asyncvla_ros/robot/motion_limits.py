"""Limits of a dof's motion: those of its contract, or those that follow from its velocity.

Units are those of the dof: velocity [unit/s], acceleration [unit/s²], jerk [unit/s³].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from asyncvla_ros.robot.contract import Dof

# Default following error: the distance in this time at full velocity [s] ...
FOLLOWING_S = 0.1
# ... or, without a velocity limit, this distance [unit].
FOLLOWING = 0.1


@dataclass(frozen=True)
class MotionLimits:
    """Velocities lie in [``min_velocity``, ``max_velocity``]; acceleration and jerk are symmetric."""

    min_velocity: float
    max_velocity: float
    acceleration: float
    jerk: float

    @property
    def speed(self) -> float:
        """The largest velocity in either direction [unit/s]."""
        return max(-self.min_velocity, self.max_velocity)


def motion_limits(dof: Dof, period_s: float) -> MotionLimits:
    """Return the limits of a tracked dof's motion and of its hold.

    A missing limit of acceleration or jerk is the most that the velocity limit can use within two periods.
    The step limits of a delta bound its velocity as well.

    Args:
        dof: A dof with a velocity limit.
        period_s: Time between two commands [s].
    """
    assert dof.velocity is not None
    acceleration = dof.acceleration or 2 * dof.velocity / period_s
    jerk = dof.jerk or 2 * acceleration / period_s
    if not dof.is_delta:
        return MotionLimits(-dof.velocity, dof.velocity, acceleration, jerk)
    return MotionLimits(
        max(-dof.velocity, dof.minimum / period_s),
        min(dof.velocity, dof.maximum / period_s),
        acceleration,
        jerk,
    )


def stop_limits(dof: Dof, period_s: float) -> MotionLimits:
    """Return the limits of a tracked dof's emergency stop; arguments as ``motion_limits``."""
    limits = motion_limits(dof, period_s)
    return replace(
        limits,
        acceleration=dof.stop_acceleration or limits.acceleration,
        jerk=dof.stop_jerk or limits.jerk,
    )


def following_limit(dof: Dof) -> float:
    """Return how far a measured absolute dof may be from its command [unit]."""
    return dof.following_error or (FOLLOWING_S * dof.velocity if dof.velocity else FOLLOWING)
