"""LIBERO as a world with a clock: episodes, control steps, and when the robot is observed. No ROS.

Lockstep, the benchmark's protocol: the world shows an observation and stands still; each command that
answers it moves the world one control step; after ``execute_steps`` of them it shows the next observation.

    observe t0   cmd   cmd   cmd   cmd   observe t4   cmd ...
    clock   t0    t1    t2    t3    t4

Free-running: the world moves one control step per tick, with the command that is due or with none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from asyncvla_ros.types import AsyncVLAError, Observation


class State(IntEnum):
    """State of an episode; the numbers are those of EpisodeStatus."""

    IDLE = 0
    RUNNING = 1
    SUCCESS = 2
    TIMEOUT = 3


class Environment(Protocol):
    """What the world needs of a simulator; ``LiberoEnv`` is one."""

    @property
    def success(self) -> bool: ...
    @property
    def instruction(self) -> str: ...
    def reset(self, seed: int) -> None: ...
    def require_init(self, index: int) -> None: ...
    def reset_to_init(self, index: int) -> None: ...
    def step(self, action: np.ndarray) -> None: ...
    def observe(self, stamp_ns: int = 0) -> Observation: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Scenario:
    """Which episode: ``init`` is an official initial state, or None for a random placement from ``seed``."""

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
        make_env: Suite and task to an environment.
        max_steps: Suite to the longest episode [control steps].
        step_ns: Control step [ns].
        execute_steps: Commands between two observations in lockstep.
        hold_action: (d,) what a step without a command does; its last entry, the gripper, is kept as it was.
    """

    def __init__(
        self,
        make_env: Callable[[str, int], Environment],
        max_steps: Callable[[str], int],
        step_ns: int,
        execute_steps: int,
        hold_action: np.ndarray,
    ) -> None:
        if execute_steps < 1:
            raise AsyncVLAError(f"execute_steps is {execute_steps}, expected at least 1")
        self._make_env = make_env
        self._max_steps = max_steps
        self._step_ns = step_ns
        self._execute_steps = execute_steps
        self._idle_action = hold_action
        self._hold = hold_action.copy()
        self._env_of: tuple[str, int] | None = None
        self.env: Environment | None = None
        self.scenario: Scenario | None = None
        self.state = State.IDLE
        self.episode_id = self.steps = self.held_steps = self.max_steps = 0
        # Never 0, which ROS takes for "no time yet".
        self.now_ns = round(1e9 / step_ns) * step_ns
        self.decision_ns = self.now_ns

    def start(self, scenario: Scenario, now_ends: Callable[[], None] = lambda: None) -> None:
        """Begin an episode; time goes on from where it was, by more than any chunk spans.

        Args:
            scenario: What to begin.
            now_ends: Called as soon as the running episode is certain to end.

        Raises:
            AsyncVLAError: If there is no such suite, task or initial state; the running episode goes on.
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
        self.state = State.IDLE
        if self._env_of != task:
            self.close()
            self.env, self._env_of = env, task
        if scenario.init is None:
            env.reset(scenario.seed)
        else:
            env.reset_to_init(scenario.init)
        self.scenario, self.state, self.max_steps = scenario, State.RUNNING, limit
        self.episode_id += 1
        self.steps = self.held_steps = 0
        self._hold = self._idle_action.copy()
        self.now_ns += 100 * self._step_ns
        self.decision_ns = self.now_ns

    def obey(self, command: DueAction) -> bool:
        """Lockstep: move one step if the command answers the latest observation and is due now."""
        expected = (self.now_ns, self.decision_ns)
        if self.state is not State.RUNNING or (command.due_ns, command.observation_ns) != expected:
            return False
        self._move(command.action)
        if (self.now_ns - self.decision_ns) // self._step_ns >= self._execute_steps:
            self.decision_ns = self.now_ns
        return True

    def tick(self, command: DueAction | None) -> None:
        """Free-running: move one step, with a command or holding."""
        if self.state is not State.RUNNING:
            return
        if command is None:
            self.held_steps += 1
            self._move(self._hold)
        else:
            self._move(command.action)

    @property
    def awaits_decision(self) -> bool:
        """Whether the present instant is one at which the robot is observed in lockstep."""
        return self.state is State.RUNNING and self.decision_ns == self.now_ns

    def observe(self) -> Observation:
        """Return what the robot's sensors show now.

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
        self.env, self._env_of, self.state = None, None, State.IDLE

    def _move(self, action: np.ndarray) -> None:
        assert self.env is not None
        self.env.step(action)
        self._hold[-1] = action[-1]
        self.steps += 1
        self.now_ns += self._step_ns
        if self.env.success:
            self.state = State.SUCCESS
        elif self.steps >= self.max_steps:
            self.state = State.TIMEOUT
