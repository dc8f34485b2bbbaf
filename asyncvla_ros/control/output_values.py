"""From commands to what outputs send: joint positions, velocities and trajectories."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.motion import Path
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract

# Share of its travel by which a gripper's target must move for a new goal at once, because goals interrupt
# each other; a target that persists needs only the smaller share.
GOAL_STEP, SETTLED_STEP = 0.1, 0.02
SETTLED_NS = 300_000_000
# Least duration of a trajectory, which stands still at its end [ns].
STANDING_NS = 1_000_000_000
# Knots nearer to each other than this are merged [ns].
MIN_SEGMENT_NS = 20


@dataclass(frozen=True)
class Waypoints:
    """A trajectory of the joints of an output.

    Attributes:
        times_ns: (k,) int64, time since the command [ns].
        positions: (k, n) float64 [m or rad].
        velocities: (k, n) float64 [m/s or rad/s].
        accelerations: (k, n) float64 [m/s² or rad/s²].
    """

    times_ns: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray


class OutputValues:
    """Convert commands to the joint values of one output.

    Array letters: ``d`` action dims of the contract, ``n`` dofs of the output.

    Args:
        robot: Dofs, limits and control rate.
        output: Its dofs, in order, with their travel.
    """

    def __init__(self, robot: RobotContract, output: Output):
        self.output = output
        self.frame = robot.base_frame
        self._action_period_ns = robot.action_period_ns
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
        """Widest range of any joint [m or rad]."""
        return float(np.max(self._upper - self._lower))

    def raw(self, values: np.ndarray) -> np.ndarray:
        """Return the output's (n,) float64 of the (d,) ``values``, in the contract's units."""
        return np.asarray(values, np.float64)[self._index]

    def position(self, values: np.ndarray) -> np.ndarray:
        """Return the joint positions (n,) float64 [m or rad] of the absolute actions (d,) ``values``."""
        return self._offset + self._gain * self.raw(values)

    def absolute_actions(self, positions: np.ndarray) -> np.ndarray:
        """Return the actions (..., n) of joint ``positions`` [m or rad]; the inverse of ``position``."""
        return (np.asarray(positions, np.float64) - self._offset) / self._gain

    def deltas(self, rates: np.ndarray) -> np.ndarray:
        """Return the deltas (..., n) per control step of ``rates`` [unit/s]; the inverse of ``rate``."""
        return np.asarray(rates, np.float64) * (self._action_period_ns / 1e9)

    def rate(self, values: np.ndarray) -> np.ndarray:
        """Return the velocities (n,) float64 [unit/s] that make the deltas (d,) ``values`` in one step."""
        return self.raw(values) / (self._action_period_ns / 1e9)

    def says_nothing(self, values: np.ndarray) -> bool:
        """Return whether ``values`` (d,) is NaN for a dof of this output."""
        return bool(np.isnan(self.raw(values)).any())

    def is_repeated(self, command: Command) -> bool:
        """Return whether a command repeats the start of a motion that has not begun.

        It is sent to a driver once only, which may restart from its measured position each time.
        """
        is_standing = not any(path.phases for path in self._paths(command))
        return is_standing and command.at_ns < self._begin_ns(command) == self._told_begin_ns

    def note_sent(self, command: Command) -> None:
        """Note a command that was sent to the driver."""
        self._told_begin_ns = self._begin_ns(command)

    def _begin_ns(self, command: Command) -> int:
        return max((path.start_ns for path in self._paths(command)), default=0)

    def _paths(self, command: Command) -> list[Path]:
        return [path for path in (command.paths[i] for i in self._index) if path is not None]

    def waypoints(self, command: Command) -> Waypoints:
        """Compute the motion of the joints from the time of the command to rest.

        ::

            path   ●───●──────●────●      a waypoint wherever the jerk of a joint changes: the quintic between
                                          two of them, with their accelerations, is the path itself

        A path begins at the time of the command, past on arrival, so that a driver follows it at once.
        The joints of a dof that is not tracked reach its command within a control step.
        """
        assert command.values is not None
        paths = [command.paths[index] if command.paths else None for index in self._index]
        if any(path is None for path in paths):
            position = self.position(command.values)[None]
            still = np.zeros_like(position)
            return Waypoints(np.array([self._action_period_ns]), position, still, still)
        known = [path for path in paths if path is not None]
        times = _knots(known)
        # Drivers refuse a trajectory that has ended before it arrives.
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
    """Return when any path's jerk changes [ns], after the last start, up to the last end."""
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
    """Decide when a gripper's target is worth a new goal.

    A large change is sent at once; a small one, which may be noise, only if it persists.

    Args:
        travel: Distance between open and closed [m or rad].
    """

    def __init__(self, travel: float):
        self._travel = abs(travel)
        self._sent: float | None = None
        self._candidate: tuple[float, int] | None = None

    def wants(self, position: float, at_ns: int) -> bool:
        """Return whether ``position`` [m or rad] at ``at_ns`` [ns, steady] is worth a new goal."""
        if self._sent is None:
            return True
        if self._candidate is None or abs(position - self._candidate[0]) >= SETTLED_STEP * self._travel:
            self._candidate = (position, at_ns)
        change = abs(position - self._sent)
        stays = at_ns - self._candidate[1] >= SETTLED_NS
        return change >= (SETTLED_STEP if stays else GOAL_STEP) * self._travel

    def note(self, position: float | None) -> None:
        """Note the sent goal [m or rad]; None: it was refused, so send it again."""
        self._sent = position
