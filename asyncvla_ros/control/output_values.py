"""What the numbers of a command become on their way out: joint positions, velocities, trajectories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.motion import Path
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract

# A gripper's target must move by this share of its travel to be worth a new goal at once, as goals interrupt
# each other; one that stays for a while needs only the smaller share.
GOAL_STEP, SETTLED_STEP = 0.1, 0.02
SETTLED_NS = 300_000_000
# A trajectory lasts so long at least, standing still at its end [ns].
STANDING_NS = 1_000_000_000
# Knots that are nearer to each other are one [ns].
MIN_SEGMENT_NS = 20


@dataclass(frozen=True)
class Waypoints:
    """A trajectory of the joints of an output.

    Attributes:
        times_ns: (k,) int64, from the moment of the command on [ns].
        positions: (k, n) float64 [m or rad].
        velocities: (k, n) float64 [m/s or rad/s].
        accelerations: (k, n) float64 [m/s² or rad/s²].
    """

    times_ns: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray


class OutputValues:
    """Picks the dofs of one output from a command and converts them to what the joints take.

    Array letters: ``d`` action dims of the contract, ``n`` dofs of the output.

    Args:
        robot: Dofs, limits and control rate.
        output: Which dofs, in which order, with which travel.
    """

    def __init__(self, robot: RobotContract, output: Output):
        self.output = output
        self.frame = robot.base_frame
        self.period_ns = robot.period_ns
        self._step_ns = robot.step_ns
        self._told_begin_ns = 0
        self._index = [robot.dof_names.index(name) for name in output.dofs]
        dofs = [robot.dofs[index] for index in self._index]
        minimum = np.array([dof.minimum for dof in dofs])
        maximum = np.array([dof.maximum for dof in dofs])
        low, high = (minimum, maximum) if output.travel is None else np.array(output.travel)[:, None]
        # position = offset + gain * command
        self._gain = (high - low) / (maximum - minimum)
        self._offset = low - self._gain * minimum
        self._lower, self._upper = np.minimum(low, high), np.maximum(low, high)

    @property
    def travel(self) -> float:
        """The widest way between the limits of a joint [m or rad]."""
        return float(np.max(self._upper - self._lower))

    def raw(self, values: np.ndarray) -> np.ndarray:
        """(n,) float64 of the (d,) ``values``, in the contract's units."""
        return np.asarray(values, np.float64)[self._index]

    def position(self, values: np.ndarray) -> np.ndarray:
        """(n,) float64 joint positions [m or rad] of the (d,) targets ``values``."""
        return self._offset + self._gain * self.raw(values)

    def targets(self, positions: np.ndarray) -> np.ndarray:
        """(..., n) targets with these joint ``positions`` [m or rad]; the inverse of ``position``."""
        return (np.asarray(positions, np.float64) - self._offset) / self._gain

    def changes(self, rates: np.ndarray) -> np.ndarray:
        """(..., n) changes per control step of which ``rates`` [unit/s] are made; the inverse of ``rate``."""
        return np.asarray(rates, np.float64) * (self._step_ns / 1e9)

    def rate(self, values: np.ndarray) -> np.ndarray:
        """(n,) float64 velocities [unit/s] that make the (d,) changes ``values`` within one control step."""
        return self.raw(values) / (self._step_ns / 1e9)

    def says_nothing(self, values: np.ndarray) -> bool:
        """Whether a dof of this output has no value, NaN, in (d,) ``values``."""
        return bool(np.isnan(self.raw(values)).any())

    def is_repeated(self, command: Command) -> bool:
        """Whether a command says again where a motion will begin.

        A driver that goes there must not be told twice: it may begin each time where it measures.
        """
        is_standing = not any(path.phases for path in self._paths(command))
        return is_standing and command.at_ns < self._begin_ns(command) == self._told_begin_ns

    def note_sent(self, command: Command) -> None:
        """The driver has been told this command."""
        self._told_begin_ns = self._begin_ns(command)

    def _begin_ns(self, command: Command) -> int:
        return max((path.start_ns for path in self._paths(command)), default=0)

    def _paths(self, command: Command) -> list[Path]:
        return [path for path in (command.paths[i] for i in self._index) if path is not None]

    def waypoints(self, command: Command) -> Waypoints:
        """The motion of the joints from the moment of the command to rest.

        ::

            path   ●───●──────●────●      a waypoint wherever the jerk of a joint changes: the quintic between
                                          two of them, with their accelerations, is the path itself

        A path begins at the moment of the command, in the past when it arrives, so that a driver is on it at
        once. A dof that is not tracked has a target only: its joints go there within a control step.
        """
        assert command.values is not None
        paths = [command.paths[index] if command.paths else None for index in self._index]
        if any(path is None for path in paths):
            position = self.position(command.values)[None]
            still = np.zeros_like(position)
            return Waypoints(np.array([self._step_ns]), position, still, still)
        known = [path for path in paths if path is not None]
        times = _knots(known)
        # One that has ended before it arrives would be refused.
        times += [command.at_ns + STANDING_NS] * (times[-1] < command.at_ns + STANDING_NS)
        at = np.array(times, np.int64)
        states = np.stack([path.states(at) for path in known], axis=1)
        return Waypoints(
            at - command.at_ns,
            self._offset + self._gain * states[..., 0],
            self._gain * states[..., 1],
            self._gain * states[..., 2],
        )


def _knots(paths: list[Path]) -> list[int]:
    """When the jerk of any path changes [ns], from where all have begun to where all have ended."""
    begin_ns = max(path.start_ns for path in paths)
    end_ns = max(path.end_ns for path in paths)
    times = [begin_ns]
    for time in sorted({time for path in paths for time in path.knots_ns}):
        if times[-1] + MIN_SEGMENT_NS <= time <= end_ns - MIN_SEGMENT_NS:
            times.append(time)
    if end_ns > begin_ns:
        times.append(end_ns)
    return times


class GoalGate:
    """Decides when a gripper's target is worth a new goal.

    A large change is one at once; a small one, which may be noise, only when it stays.

    Args:
        travel: Difference between open and closed [m or rad].
    """

    def __init__(self, travel: float):
        self._travel = abs(travel)
        self._sent: float | None = None
        self._candidate: tuple[float, int] | None = None

    def wants(self, position: float, at_ns: int) -> bool:
        """Whether ``position`` [m or rad] at ``at_ns`` [ns, steady] differs enough from the last goal."""
        if self._sent is None:
            return True
        if self._candidate is None or abs(position - self._candidate[0]) >= SETTLED_STEP * self._travel:
            self._candidate = (position, at_ns)
        change = abs(position - self._sent)
        stays = at_ns - self._candidate[1] >= SETTLED_NS
        return change >= (SETTLED_STEP if stays else GOAL_STEP) * self._travel

    def note(self, position: float | None) -> None:
        """Notes the goal that was sent [m or rad]; None: it was refused, so it is wanted again."""
        self._sent = position
