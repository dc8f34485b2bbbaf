"""Judges where the arm is in space: the workspace of changes, and the guard of links and tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from asyncvla_ros.bench.safety_limits import EPSILON, HALF_EPSILON_32
from asyncvla_ros.bench.safety_samples import Samples
from asyncvla_ros.robot.contract import Dof, GuardedFrame, RobotContract, WorkspaceLimit

Links = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""(m, n) positions of an output's joints to the (m, 3) positions of links in the base frame [m]."""
# A true position is a sum of so many changes, each of which is rounded.
ADDITIONS = 1e6
# So many changes are on their way at most, between a measurement and the arm: each may be rounded.
CHANGES = 64
BLOCK = 20_000


class SpaceAudit:
    """Counts steps that leave a permitted region; from outside, only farther out is a violation.

    Args:
        robot: Workspaces of dofs, and the guard.
        off: (n,) how far a joint that keeps every limit may be off [rad], see ``Limits.uncertainty``; times
            twice the distance of a link from the base it is how far that may be off.
        links: Forward kinematics; None: the guard is not judged.
        is_float32: Whether changes were rounded to float32 fields.
        violations: Where ``workspace`` and ``tool`` are counted.
    """

    def __init__(
        self,
        robot: RobotContract,
        off: np.ndarray,
        links: Links | None,
        violations: dict[str, int],
        *,
        is_float32: bool = False,
    ):
        spaces = [(robot.dofs.index(dof), space) for dof, space in _limited(robot)]
        self._index = [index for index, _ in spaces]
        self._low = np.array([space.minimum for _, space in spaces])
        self._high = np.array([space.maximum for _, space in spaces])
        steps = [max(-dof.minimum, dof.maximum) for dof, _ in _limited(robot)]
        self._change_off = np.array(steps) * (CHANGES * HALF_EPSILON_32 if is_float32 else 0.0)
        self._off = float(np.sum(off))
        self._guard, self._links = robot.guard, links
        self._violations = violations
        speed = np.inf if self._guard is None or self._guard.speed is None else self._guard.speed
        self._speeds: list[tuple[int, float]] = [(np.iinfo(np.int64).min, speed)]
        self._places: list[np.ndarray] = []
        self._is_judged: list[bool] = []

    def limit_tool(self, at_ns: int, speed: float) -> None:
        """Limit the tool's speed to this [m/s] from ``at_ns`` on, whatever was said before."""
        self._speeds = [*(entry for entry in self._speeds if entry[0] < at_ns), (at_ns, speed)]

    def place(self, position: np.ndarray, *, is_judged: bool) -> None:
        """Take the arm's true place after a step, (d,) in the order of the contract's dofs."""
        if not self._index:
            return
        self._places.append(np.asarray(position, np.float64)[self._index])
        self._is_judged.append(is_judged)
        if len(self._places) >= BLOCK:
            self.finish()

    def finish(self) -> None:
        """Judge the places that are not judged yet."""
        if len(self._places) > 1:
            places, judged = np.array(self._places), np.array(self._is_judged[1:])[:, None]
            off = ADDITIONS * EPSILON * np.maximum(np.abs(self._low), np.abs(self._high)) + self._change_off
            outside = _leaves(places, self._low, self._high, off)
            self._violations["workspace"] += int((outside & judged).sum())
            del self._places[:-1], self._is_judged[:-1]

    def judge(self, samples: Samples) -> None:
        """Judge the guard at (m, n) joint positions."""
        if self._guard is None or self._links is None:
            return
        positions = self._links(samples.values)
        chosen = samples.successive(1)
        for frame in self._guard.frames:
            self._violations["tool"] += self._outside(frame, positions[frame.link], chosen)
        tool = positions[self._guard.tool]
        times_ns, speeds = zip(*self._speeds, strict=True)
        limits = np.array(speeds)[np.searchsorted(times_ns, samples.times_ns, side="right") - 1]
        span_s = np.diff(samples.times_ns) / 1e9
        way = np.linalg.norm(np.diff(tool, axis=0), axis=1)
        # What begins before a new limit may still be as fast as the one before.
        allowed = np.maximum(limits[1:], limits[:-1]) * span_s + 2 * self._link_off(tool)
        self._violations["tool"] += int((~(way <= allowed) & chosen).sum())

    def _link_off(self, positions: np.ndarray) -> float:
        return self._off * 2 * float(np.max(np.linalg.norm(positions, axis=1)))

    def _outside(self, frame: GuardedFrame, positions: np.ndarray, chosen: np.ndarray) -> int:
        """Count the chosen steps that lead out of its box or below one of its planes, from inside."""
        off = self._link_off(positions)
        count = 0
        if frame.box is not None:
            low, high = np.array(frame.box).T
            count += int((_leaves(positions, low, high, off) & _inside(positions, low, high))[chosen].sum())
        for plane in frame.planes:
            height = positions @ np.array(plane.normal)
            count += int(
                (_leaves(height, plane.offset, np.inf, off) & _inside(height, plane.offset, np.inf))[
                    chosen
                ].sum()
            )
        return count


def _inside(values: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """Return which values are inside before the next one, (m - 1, ...) bool."""
    return (low <= values[:-1]) & (values[:-1] <= high)


def _limited(robot: RobotContract) -> list[tuple[Dof, WorkspaceLimit]]:
    return [(dof, dof.workspace) for dof in robot.dofs if dof.workspace is not None]


def _leaves(
    values: np.ndarray, low: np.ndarray | float, high: np.ndarray | float, off: np.ndarray | float
) -> np.ndarray:
    """Return which values are outside, and farther out than the ones before, (m - 1, ...) bool."""
    before, after = values[:-1], values[1:]
    return ~((np.minimum(low, before) - off <= after) & (after <= np.maximum(high, before) + off))
