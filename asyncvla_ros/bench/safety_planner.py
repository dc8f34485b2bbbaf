"""Whether the planner of a contract's tracked dofs ever fails: random goals by the million."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncvla_ros.control.drive import drives
from asyncvla_ros.control.motion import MotionState
from asyncvla_ros.control.tracker import JerkLimitedTracker, tracked
from asyncvla_ros.robot.contract import RobotContract

# A goal is kept for so many commands, at most; some lie beyond the limits by this share of a range.
KEPT, BEYOND = 30, 0.2
# One command in so many comes late, and one stops.
LATE_EVERY, STOP_EVERY = 50, 100


def run_planner(robot: RobotContract, commands: int, seed: int) -> dict[str, Any]:
    """Send random goals through the tracker of a contract.

    Args:
        robot: The contract.
        commands: How many.
        seed: Of everything random.

    Returns:
        ``commands``, ``ruckig_errors`` (each was braked over), ``limit_stops`` and ``exceptions``.
    """
    rng = np.random.default_rng(seed)
    index = tracked(robot.dofs)
    dofs, kinds = [robot.dofs[i] for i in index], [drives(robot)[i] for i in index]
    tracker = JerkLimitedTracker(dofs, kinds, robot.command_period_ns, robot.command_period_ns)
    low, high = np.array([dof.minimum for dof in dofs]), np.array([dof.maximum for dof in dofs])
    speed = np.array([dof.velocity for dof in dofs], float)
    at_ns, exceptions = 10**12, 0
    tracker.begin([0.0 if dof.is_delta else (dof.minimum + dof.maximum) / 2 for dof in dofs], at_ns)
    goals: list[MotionState] = []
    left = 0
    for _ in range(commands):
        if left == 0:
            places = low + (high - low) * (rng.random(len(dofs)) * (1 + 2 * BEYOND) - BEYOND)
            rates = rng.normal(0, 0.5, len(dofs)) * speed * (rng.random() < 0.5)
            goals = [MotionState(p, v, 0.0) for p, v in zip(places.tolist(), rates.tolist(), strict=True)]
            left = int(rng.integers(1, KEPT))
        left -= 1
        is_late = rng.integers(LATE_EVERY) == 0
        at_ns += int(robot.command_period_ns * (rng.uniform(1, 20) if is_late else rng.uniform(0.8, 1.2)))
        try:
            if rng.integers(STOP_EVERY) == 0:
                tracker.stop(at_ns)
            else:
                tracker.follow(goals, at_ns)
        except Exception:
            exceptions += 1
    return {
        "commands": commands,
        "ruckig_errors": tracker.planner_errors,
        "limit_stops": tracker.limit_stops,
        "exceptions": exceptions,
    }
