"""What the numbers of a command become on their way out: joint positions, velocities, a way to rest."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.robot.contract import Output, RobotContract

# A gripper's target must move by this share of its travel to be worth a new goal: goals interrupt each other.
GOAL_STEP = 0.02


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
        self._index = [robot.dof_names.index(name) for name in output.dofs]
        dofs = [robot.dofs[index] for index in self._index]
        minimum = np.array([dof.minimum for dof in dofs])
        maximum = np.array([dof.maximum for dof in dofs])
        low, high = (minimum, maximum) if output.travel is None else np.array(output.travel)[:, None]
        # position = offset + gain * command
        self._gain = (high - low) / (maximum - minimum)
        self._offset = low - self._gain * minimum
        self._lower, self._upper = np.minimum(low, high), np.maximum(low, high)
        accelerations = [np.inf if dof.acceleration is None else dof.acceleration for dof in dofs]
        self._acceleration = np.abs(self._gain) * np.array(accelerations)

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

    def velocity(self, velocity: np.ndarray) -> np.ndarray:
        """(n,) float64 joint velocities [m/s or rad/s] of the (d,) ``velocity`` of the targets [unit/s]."""
        return self._gain * self.raw(velocity)

    def rate(self, values: np.ndarray) -> np.ndarray:
        """(n,) float64 velocities [unit/s] that make the (d,) changes ``values`` within one control step."""
        return self.raw(values) / (self._step_ns / 1e9)

    def is_inside(self, position: np.ndarray) -> bool:
        """Whether (n,) joint positions [m or rad] are all within their limits."""
        return bool(np.all((self._lower <= position) & (position <= self._upper)))

    def rest(self, position: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, int]:
        """Where and when the joints stand still if no further command comes.

        Constant deceleration v / T takes the distance v T / 2; T is one control step, or longer where the
        contract's acceleration asks for it.

        Args:
            position: (n,) [m or rad].
            velocity: (n,) [m/s or rad/s].

        Returns:
            (n,) positions within the limits [m or rad], and T [ns].
        """
        slowest_s = float(np.max(np.abs(velocity) / self._acceleration, initial=0.0))
        duration_ns = max(self._step_ns, round(slowest_s * 1e9))
        stopped = position + velocity * (duration_ns / 2e9)
        return np.clip(stopped, self._lower, self._upper), duration_ns


class GoalGate:
    """Decides when a gripper's target is worth a new goal.

    Args:
        travel: Difference between open and closed [m or rad].
    """

    def __init__(self, travel: float):
        self._step = GOAL_STEP * abs(travel)
        self._sent: float | None = None

    def wants(self, position: float) -> bool:
        """Whether ``position`` [m or rad] differs enough from the last goal."""
        return self._sent is None or abs(position - self._sent) >= self._step

    def note(self, position: float | None) -> None:
        """Notes the goal that was sent [m or rad]; None: it was refused, so it is wanted again."""
        self._sent = position
