"""Worlds that do not wait for the robot: what happens in them while it acts.

All that is random is drawn from (seed, task, initial state), so strategies meet the same world.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from asyncvla_ros.sim.expert.disturbance import Disturbance, NoiseSettings
from asyncvla_ros.sim.expert.motion import Phase
from asyncvla_ros.sim.libero.env import ACTION_HZ, LiberoEnv
from asyncvla_ros.sim.libero.target import Target, movable_target
from asyncvla_ros.sim.libero.tasks import Task, list_tasks
from asyncvla_ros.types import AsyncVLAError

WORLDS = ("still", "jump", "drift", "kicks")
#: Those in which the target moves.
_MOVING = ("jump", "drift")
#: The target jumps when the hand is this near to it, and so far [m].
JUMP_AT_M, JUMP_M = 0.10, 0.04
#: It drifts until the hand is this near to it, and at most so far [m]; and so fast [m/s].
TOUCH_M, DRIFT_M, DRIFT_M_S = 0.03, 0.08, 0.02
_DIRECTIONS = 16
_PATH_STEP_M = 0.01


class Perturbation(Protocol):
    """What happens beside the robot.

    Attributes:
        moved_step: Control step at which the target began to move; None: it has not.
    """

    moved_step: int | None

    def advance(self, step: int) -> None:
        """Let it happen, before a control step is observed or executed."""

    def obey(self, action: np.ndarray) -> np.ndarray:
        """Return what becomes of an action (7,) of a control step."""


class Still:
    """Nothing happens."""

    moved_step: int | None = None

    def advance(self, step: int) -> None:
        """Do nothing."""

    def obey(self, action: np.ndarray) -> np.ndarray:
        """Return the action unchanged."""
        return action


class Jump(Still):
    """The target is displaced once, when the hand first comes near it and does not touch it yet.

    It goes into the first of some random directions in which there is room; without any it stays.
    """

    def __init__(self, target: Target, rng: np.random.Generator) -> None:
        self._target = target
        self._shifts = JUMP_M * _directions(rng)
        self._is_over = False

    def advance(self, step: int) -> None:
        """Displace the target if it is time."""
        if self._is_over or not TOUCH_M < self._target.hand_distance() < JUMP_AT_M:
            return
        self._is_over = True
        shift = next(filter(self._target.can_move, self._shifts), None)
        if shift is not None:
            self._target.move(shift)
            self.moved_step = step


class Drift(Still):
    """The target moves steadily from the beginning, until the hand is at it.

    It goes into the first of some random directions in which there is room for the whole way, or else into
    that with the most room.
    """

    def __init__(self, target: Target, rng: np.random.Generator) -> None:
        self._target = target
        directions = _directions(rng)
        ways = [self._way(direction) for direction in directions]
        self._left = round(max(ways) / DRIFT_M_S * ACTION_HZ)
        self._shift = directions[int(np.argmax(ways))] * DRIFT_M_S / ACTION_HZ

    def _way(self, direction: np.ndarray) -> float:
        """Return how far it can go in ``direction`` [m]."""
        way = 0.0
        while way < DRIFT_M - _PATH_STEP_M / 2 and self._target.can_move((way + _PATH_STEP_M) * direction):
            way += _PATH_STEP_M
        return way

    def advance(self, step: int) -> None:
        """Move the target by one control step, unless something is in it now."""
        if self._left == 0:
            return
        if self._target.hand_distance() <= TOUCH_M or not self._target.can_move(self._shift):
            self._left = 0
            return
        self._left -= 1
        self._target.move(self._shift)
        if self.moved_step is None:
            self.moved_step = step


class Kicks(Still):
    """Now and then the arm is pushed, as while demonstrations are made; see ``Disturbance``."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._disturbance = Disturbance(NoiseSettings(std_range=(0.0, 0.0), slip_probability=0.0), rng)

    def obey(self, action: np.ndarray) -> np.ndarray:
        """Return the action, or a kick instead of its motion."""
        return self._disturbance.apply(action, Phase.HOVER)


def make_world(name: str, env: LiberoEnv, seed: int, init: int) -> Perturbation:
    """Make the world of an episode that has just been reset.

    Raises:
        AsyncVLAError: There is no such world, or nothing that could move in it.
    """
    task = env.task
    require_world(name, (task,))
    rng = np.random.default_rng((seed, task.index, init, WORLDS.index(name)))
    if name == "kicks":
        return Kicks(rng)
    if name in _MOVING:
        target = Target(env.scene, movable_target(task))
        return Jump(target, rng) if name == "jump" else Drift(target, rng)
    return Still()


def require_world(name: str, tasks: tuple[Task, ...]) -> None:
    """Raise AsyncVLAError unless there is such a world, with something that moves in all of the tasks."""
    if name not in WORLDS:
        raise AsyncVLAError(f"world is {name!r}, choose one of {WORLDS}")
    if name not in _MOVING:
        return
    for task in tasks:
        if not movable_target(task):
            fit = [str(other.index) for other in list_tasks(task.suite) if movable_target(other)]
            raise AsyncVLAError(
                f"world {name!r} moves the target, but that of {task.suite} task {task.index} does not stand "
                f"on the table or floor; of this suite, choose tasks {','.join(fit)}"
            )


def _directions(rng: np.random.Generator) -> np.ndarray:
    """Draw unit vectors (n, 2)."""
    angles = rng.uniform(0, 2 * math.pi, _DIRECTIONS)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
