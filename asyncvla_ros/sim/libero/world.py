"""LIBERO as a world with a clock: episodes, control steps and times of observations. No ROS.

Lockstep, the benchmark's protocol: the world gives an observation and stands still; each command that
answers it moves the world one control step; after ``n_action_steps`` of them it gives the next observation.

    observe t0   cmd   cmd   cmd   cmd   observe t4   cmd ...
    clock   t0    t1    t2    t3    t4

Free-running: the world moves one control step per tick, with the due command or without one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from asyncvla_ros.types import AsyncVLAError, Observation


class EpisodeState(IntEnum):
    """State of an episode, with the numbers of EpisodeStatus."""

    IDLE = 0
    RUNNING = 1
    SUCCESS = 2
    TIMEOUT = 3


class Environment(Protocol):
    """A simulator as the world needs it, such as ``LiberoEnv``."""

    @property
    def success(self) -> bool:
        """Whether the goal of the task holds now."""

    @property
    def instruction(self) -> str:
        """The task in natural language."""

    def reset(self, seed: int) -> None:
        """Begin at a random placement."""

    def require_init(self, index: int) -> None:
        """Raise AsyncVLAError unless the official initial state exists."""

    def reset_to_init(self, index: int) -> None:
        """Begin at an official initial state."""

    def step(self, action: np.ndarray) -> None:
        """Run one control step."""

    def observe(self, stamp_ns: int = 0) -> Observation:
        """Return the present observation, stamped ``stamp_ns`` [ns]."""

    def close(self) -> None:
        """Release the simulator."""


@dataclass(frozen=True)
class Scenario:
    """An episode to run: ``init`` is an official initial state; None: a random placement from ``seed``."""

    suite: str
    task: int
    init: int | None
    seed: int = 0


@dataclass(frozen=True)
class DueAction:
    """A command: action (d,) in the simulator's units, its due time and that of its observation [ns]."""

    action: np.ndarray
    due_ns: int
    observation_ns: int


class World:
    """One simulator, one clock, one episode at a time.

    Args:
        make_env: Makes the environment of a suite and task.
        max_steps: Longest episode by suite [control steps].
        action_period_ns: Duration of a control step [ns].
        n_action_steps: Number of commands between two observations in lockstep.
        hold_action: (d,) action of a step without a command; its last entry, the gripper, keeps its value.
    """

    def __init__(
        self,
        make_env: Callable[[str, int], Environment],
        max_steps: Callable[[str], int],
        action_period_ns: int,
        n_action_steps: int,
        hold_action: np.ndarray,
    ) -> None:
        if n_action_steps < 1:
            raise AsyncVLAError(f"n_action_steps is {n_action_steps}, expected at least 1")
        self._make_env = make_env
        self._max_steps = max_steps
        self._action_period_ns = action_period_ns
        self._n_action_steps = n_action_steps
        self._idle_action = hold_action
        self._hold = hold_action.copy()
        self._env_of: tuple[str, int] | None = None
        self.env: Environment | None = None
        self.scenario: Scenario | None = None
        self.state = EpisodeState.IDLE
        self.episode_id = self.steps = self.held_steps = self.max_steps = 0
        # Never 0, which means "no time yet" in ROS.
        self.now_ns = round(1e9 / action_period_ns) * action_period_ns
        self.decision_ns = self.now_ns

    def start(self, scenario: Scenario, now_ends: Callable[[], None] = lambda: None) -> None:
        """Begin an episode; advance time by more than the length of any chunk.

        Args:
            scenario: The episode.
            now_ends: Called when it is certain that the running episode ends.

        Raises:
            AsyncVLAError: If the suite, task or initial state does not exist; the running episode goes on.
            RunError: If the objects cannot be placed; no episode runs then.
        """
        limit = self._max_steps(scenario.suite)
        task = scenario.suite, scenario.task
        env = self.env if self._env_of == task else None
        if env is None:
            env = self._make_env(*task)
        try:
            if scenario.init is not None:
                env.require_init(scenario.init)
        except AsyncVLAError:
            if self._env_of != task:
                env.close()
            raise
        now_ends()
        self.state = EpisodeState.IDLE
        if self._env_of != task:
            self.close()
            self.env, self._env_of = env, task
        if scenario.init is None:
            env.reset(scenario.seed)
        else:
            env.reset_to_init(scenario.init)
        self.scenario, self.state, self.max_steps = scenario, EpisodeState.RUNNING, limit
        self.episode_id += 1
        self.steps = self.held_steps = 0
        self._hold = self._idle_action.copy()
        self.now_ns += 100 * self._action_period_ns
        self.decision_ns = self.now_ns

    def obey(self, command: DueAction) -> bool:
        """Move one step in lockstep, if the command answers the latest observation and is due now."""
        expected = (self.now_ns, self.decision_ns)
        if self.state is not EpisodeState.RUNNING or (command.due_ns, command.observation_ns) != expected:
            return False
        self._move(command.action)
        if (self.now_ns - self.decision_ns) // self._action_period_ns >= self._n_action_steps:
            self.decision_ns = self.now_ns
        return True

    def tick(self, command: DueAction | None) -> None:
        """Move one step when free-running, with a command or holding."""
        if self.state is not EpisodeState.RUNNING:
            return
        if command is None:
            self.held_steps += 1
            self._move(self._hold)
        else:
            self._move(command.action)

    @property
    def awaits_decision(self) -> bool:
        """Whether an observation is due now in lockstep."""
        return self.state is EpisodeState.RUNNING and self.decision_ns == self.now_ns

    def observe(self) -> Observation:
        """Return the present observation.

        Raises:
            AsyncVLAError: If no episode has begun.
        """
        if self.env is None:
            raise AsyncVLAError("no episode has begun; reset one first")
        return self.env.observe(self.now_ns)

    def close(self) -> None:
        """Release the simulator. Idempotent."""
        if self.env is not None:
            self.env.close()
        self.env, self._env_of, self.state = None, None, EpisodeState.IDLE

    def _move(self, action: np.ndarray) -> None:
        assert self.env is not None
        self.env.step(action)
        self._hold[-1] = action[-1]
        self.steps += 1
        self.now_ns += self._action_period_ns
        if self.env.success:
            self.state = EpisodeState.SUCCESS
        elif self.steps >= self.max_steps:
            self.state = EpisodeState.TIMEOUT
