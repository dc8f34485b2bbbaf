"""Divided differences of commands against the limits of a contract, for drivers that hold each command."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.robot.contract import RobotContract

TOLERANCE = 1e-5


def limit_breaks(
    robot: RobotContract, times_ns: list[int], values: np.ndarray, is_emergency: bool
) -> list[str]:
    """What consecutive commands break, in words; empty: nothing.

    A gap of more than two periods makes the arm stand at the command before it.

    Args:
        robot: Its tracked targets and changes are checked.
        times_ns: (k,) when each command was sent [ns].
        values: (k, d) the commands, NaN where nothing was said; the first one is where the arm stood.
        is_emergency: Whether acceleration and jerk of an emergency stop are permitted.
    """
    values = values.copy()
    for column in values.T:
        # Before its first command an unmeasured gripper stood where that sends it.
        known = np.flatnonzero(~np.isnan(column))
        column[: known[0] if len(known) else 0] = column[known[0]] if len(known) else 0.0
    period_s = robot.period_ns / 1e9
    times = [times_ns[0] / 1e9 - n * period_s for n in (3, 2, 1)]
    rows = [np.where([dof.is_delta for dof in robot.dofs], 0.0, values[0])] * 3
    for at_ns, row in zip(times_ns, values, strict=True):
        if at_ns / 1e9 - times[-1] > 2 * period_s + 1e-9:
            times += [at_ns / 1e9 - n * period_s for n in (3, 2, 1)]
            rows += [np.where([dof.is_delta for dof in robot.dofs], 0.0, rows[-1])] * 3
        times.append(at_ns / 1e9)
        rows.append(row)
    breaks = []
    at, path = np.array(times), np.array(rows)
    for index, dof in enumerate(robot.dofs):
        acceleration = (dof.stop_acceleration if is_emergency else None) or dof.acceleration
        jerk = (dof.stop_jerk if is_emergency else None) or dof.jerk
        derivative = path[:, index] / (period_s if dof.is_delta else 1.0)
        for order, limit in ((1, dof.velocity), (2, acceleration), (3, jerk)):
            # What a change makes is a velocity already.
            span = order - dof.is_delta
            if span:
                derivative = span * np.diff(derivative) / (at[span:] - at[:-span])
            worst = float(np.nanmax(np.abs(derivative), initial=0.0))
            if limit is not None and worst > limit * (1 + TOLERANCE) + TOLERANCE:
                breaks.append(f"{dof.name}: derivative {order} is {worst:.6g}, limit {limit:g}")
    return breaks
