"""Judges what one driver demands in true time against a contract, with none of the controller's code."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from asyncvla_ros.bench.safety_judge import LimitJudge
from asyncvla_ros.bench.safety_limits import limits_of
from asyncvla_ros.bench.safety_samples import Samples, with_standing
from asyncvla_ros.bench.safety_space import Links, SpaceAudit
from asyncvla_ros.robot.contract import Output, RobotContract

KINDS = ("position", "velocity", "acceleration", "jerk", "workspace", "tool", "nonfinite")
# Samples of a trajectory's demand are so far apart [periods]: no simple share, so that they meet every phase.
GRID = 0.2360679775
# Two commands farther apart than this are not of one motion [periods].
GAP = 2
FOREVER_NS = int(np.iinfo(np.int64).max)
BLOCK = 20_000


class Driver(Protocol):
    """What demands positions between the messages it receives, see ``TrajectoryDriver``."""

    def demand_many(self, times_ns: np.ndarray) -> np.ndarray:
        """Return the demand (m, n) at (m,) ascending times [ns]."""
        ...

    def forget(self, before_ns: int) -> None:
        """Forget what was demanded before ``before_ns``: nobody asks for it again."""
        ...


class _Begin(NamedTuple):
    """From ``at_ns`` on it is judged, or not if it stood nowhere."""

    at_ns: int
    standing: np.ndarray | None
    within: np.ndarray | float


class DriverAudit:
    """Counts what is beyond the limits in the demand of one driver.

    ::

        joint_trajectory         the demand, sampled on a grid of its own across all messages
        position, pose, action   the commands, at the times at which they were sent; after more than two
                                 periods: it stood at the last one until one period before the next
        velocity, twist          likewise with one order of difference less: the values are velocities, and in
                                 such a gap the last one was kept; a delta per step was made once

    Tolerance: nothing is fitted. A k-th divided difference of values that are off by e is off by up to
    e k! Σ_i 1/Π_j≠i |t_i - t_j|, that is 2^k e / h^k for samples h apart, and e is what a number that keeps
    every limit may be off: its stamp is rounded to 1 ns, and it is a float64 or float32; see
    ``Limits.uncertainty``. At 3 rad/s on a grid of 4.7 ms it is 8 x 3e-9 rad / h³ = 0.23 rad/s³ of jerk. What
    is between the points of a trajectory counts in full: quintics through points a period apart, that do
    not meet the changes of jerk, overshoot a limit of jerk by up to 36 % on that grid, by 0.9 % on one of a
    period.

    Orientations are judged by the rate of the angle between them: the largest velocity limit of the six
    entries, as rad/s.

    Args:
        robot: Whose limits count; a dof without a limit is not judged by it.
        output: What the driver receives.
        grid_ns: Of samples of a trajectory [ns]; None: ``GRID`` periods.
        is_float32: The values were rounded to float32, as the fields of ActionCommand are.
        links: Forward kinematics of the output's joints, for the contract's guard; None: it is not judged.

    Attributes:
        violations: By kind, of what is judged; ``finish`` judges the rest.
        samples: Judged.
    """

    def __init__(
        self,
        robot: RobotContract,
        output: Output,
        grid_ns: int | None = None,
        *,
        is_float32: bool = False,
        links: Links | None = None,
    ):
        self.violations = dict.fromkeys(KINDS, 0)
        self.samples = 0
        limits = limits_of(robot, output)
        self._scale = limits.scale
        self._is_trajectory = output.adapter == "joint_trajectory"
        self._is_step = limits.is_rate & (output.adapter == "action_command")
        self._judge = LimitJudge(
            limits, self.violations, is_float32=is_float32, may_return=self._is_trajectory
        )
        links = None if limits.is_rate.any() else links
        self._space = SpaceAudit(
            robot, limits.uncertainty(is_float32=is_float32)[1], links, self.violations, is_float32=is_float32
        )
        self._period_ns = robot.command_period_ns
        self._grid_ns = grid_ns or round(GRID * robot.command_period_ns)
        self._begins: list[_Begin] = []
        self._is_active = self._is_judged = False
        self._stops: list[tuple[int, int]] = []
        self._times: list[int] = []
        self._values: list[np.ndarray] = []
        self._driver: Driver | None = None
        self._next_ns: int | None = None
        self._until_ns = 0
        self._before = Samples.none(len(limits.scale))

    def begin(self, at_ns: int, standing: np.ndarray, within: np.ndarray | float = 0.0) -> None:
        """Judge the demand from ``at_ns`` on, the time of a first command; before, it stood still.

        Args:
            at_ns: [ns].
            standing: (n,) where it stood, as the message would say it (a rate: 0); NaN: where it begins.
            within: (n,) or one; so near to ``standing`` it stood where it begins.
        """
        self._begins.append(_Begin(at_ns, np.array(standing, np.float64) * self._scale, within))
        self._is_judged = True
        self._next_ns = at_ns if self._next_ns is None else self._next_ns

    def suspend(self, at_ns: int) -> None:
        """Count only what is no number from ``at_ns`` until the next ``begin``: nobody obeys meanwhile."""
        self._begins.append(_Begin(at_ns, None, 0.0))
        self._is_judged = False

    def allow_stop(self, at_ns: int) -> None:
        """Apply the limits of an emergency stop from ``at_ns`` [ns] on."""
        if not self._stops or self._stops[-1][1] < FOREVER_NS:
            self._stops.append((at_ns, FOREVER_NS))

    def stop_over(self, at_ns: int) -> None:
        """End the limits of an emergency stop at ``at_ns`` [ns]: the arm is at rest."""
        if self._stops and self._stops[-1][1] == FOREVER_NS:
            self._stops[-1] = (self._stops[-1][0], at_ns)

    def limit_tool(self, at_ns: int, speed: float) -> None:
        """Limit the tool's speed to this [m/s] from ``at_ns`` on, whatever the contract says."""
        self._space.limit_tool(at_ns, speed)

    def add(self, at_ns: int, values: np.ndarray) -> None:
        """Audit a command sent at ``at_ns`` [ns]: the (n,) numbers of the message.

        Raises:
            ValueError: true time goes backwards.
        """
        if at_ns < self._until_ns:
            raise ValueError(f"expected a time since {self._until_ns}, got {at_ns}")
        self._until_ns = at_ns
        self._times.append(at_ns)
        self._values.append(np.array(values, np.float64))
        if len(self._times) >= BLOCK:
            self.finish()

    def watch(self, driver: Driver, until_ns: int) -> None:
        """Sample the demand of a trajectory's driver until ``until_ns`` [ns], now or later."""
        self._driver, self._until_ns = driver, until_ns
        if self._next_ns is not None and until_ns - self._next_ns >= BLOCK * self._grid_ns:
            self.finish()

    def place(self, position: np.ndarray, *, is_judged: bool = True) -> None:
        """Take the arm's true place after a step, (d,) in the contract's order of dofs, for workspaces."""
        self._space.place(position, is_judged=self._is_judged and is_judged)

    def finish(self) -> None:
        """Judge what is not judged yet; what comes later goes on from there."""
        if self._is_trajectory and self._driver is not None and self._next_ns is not None:
            grid = np.arange(self._next_ns, self._until_ns + 1, self._grid_ns)
            if len(grid):
                demand = self._driver.demand_many(grid)
                self._next_ns = int(grid[-1]) + self._grid_ns
                self._driver.forget(int(grid[-1]))
                self._take(grid, demand)
        elif self._times:
            times, values = np.array(self._times, np.int64), np.array(self._values) * self._scale
            self._times.clear()
            self._values.clear()
            self._take(times, values)
        self._space.finish()

    def _take(self, times_ns: np.ndarray, values: np.ndarray) -> None:
        """Judge (m, n) values at (m,) times."""
        finite = np.isfinite(values).all(axis=1)
        self.violations["nonfinite"] += int((~np.isfinite(values)).sum())
        samples = self._before.then(self._with_standing(times_ns[finite], values[finite]))
        self.samples += int(samples.is_new.sum())
        if samples.is_new.any():
            with np.errstate(invalid="ignore", over="ignore"):
                self._judge.judge(samples, np.array(self._stops, np.int64).reshape(-1, 2))
                self._space.judge(samples)
        self._before = samples.context()
        if len(self._before.times_ns):
            self._stops = [stop for stop in self._stops if stop[1] >= self._before.times_ns[0]]

    def _with_standing(self, times_ns: np.ndarray, values: np.ndarray) -> Samples:
        """Return the samples that are judged, and where it stood before each stretch of them."""
        last = self._before
        begins, standing, active = self._begun(times_ns, values)
        times_ns, values, begins, standing = (
            times_ns[active],
            values[active],
            begins[active],
            standing[active],
        )
        if not self._is_trajectory and len(times_ns):
            if len(last.times_ns):
                # Two commands in one nanosecond: the second one is that much later.
                times_ns = np.maximum(times_ns, last.times_ns[-1] + 1)
            rank = np.arange(len(times_ns))
            times_ns = np.maximum.accumulate(times_ns - rank) + rank
            gaps = np.diff(times_ns, prepend=last.times_ns[-1:] if len(last.times_ns) else times_ns[:1])
            gaps = ~begins & (gaps > GAP * self._period_ns)
            before = np.concatenate([last.values[-1:] if len(last.times_ns) else values[:1], values[:-1]])
            # A rate goes on meanwhile; a delta per step, which is made once, does not.
            standing[gaps] = np.where(self._is_step, 0.0, before[gaps])
            begins |= gaps
        step_ns = self._grid_ns if self._is_trajectory else self._period_ns
        stretch = int(last.stretch[-1]) if len(last.stretch) else 0
        return with_standing(times_ns, values, begins, standing, step_ns=step_ns, stretch=stretch)

    def _begun(self, times_ns: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which samples begin after a ``begin`` (m,), where it stood (m, n), which are judged (m,)."""
        begins, active = np.zeros(len(times_ns), bool), np.full(len(times_ns), self._is_active)
        standing = values.copy()
        while self._begins and len(times_ns) and self._begins[0].at_ns <= times_ns[-1]:
            begin = self._begins.pop(0)
            first = int(np.searchsorted(times_ns, begin.at_ns))
            self._is_active = begin.standing is not None
            active[first:] = self._is_active
            begins[first] = self._is_active
            if begin.standing is not None:
                near = ~(np.abs(values[first] - begin.standing) > begin.within)
                standing[first] = np.where(near, values[first], begin.standing)
        return begins, standing, active

    def metrics(self) -> dict[str, Any]:
        """Return all counts: samples, violations, jump_rad_max and the largest shares of limits used."""
        self.finish()
        return {
            "samples": self.samples,
            "violations": dict(self.violations),
            "jump_rad_max": self._judge.jump_max,
            "largest_share_of_limit": {name: round(peak, 6) for name, peak in self._judge.peaks.items()},
        }
