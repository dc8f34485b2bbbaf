"""Chunks that no policy should send, and good ones among them that are hard to follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.robot.contract import RobotContract

# Shorter than the time after which a chunk is stale: some are expired before that.
LENGTH = 8
MS = 1_000_000
# How old the observation of a chunk is when it arrives [ms].
LATENCY_MS = (30, 80)
Spoil = Callable[[StampedChunk], StampedChunk]


class AdversarialChunks:
    """An endless, seeded sequence of chunks for one robot.

    Args:
        robot: Whom they are for.
        rng: Source of everything random.
    """

    def __init__(self, robot: RobotContract, rng: np.random.Generator):
        self._robot = robot
        self._rng = rng
        self._session_id, self._chunk_id = 1, 0
        self._low = np.array([dof.minimum for dof in robot.dofs])
        self._high = np.array([dof.maximum for dof in robot.dofs])
        self._paths = (
            self._smooth,
            self._smooth,
            self._teleporting,
            self._teleporting,
            self._nyquist,
            self._constant,
            self._huge,
            self._tiny,
        )
        self._spoilers: tuple[Spoil, ...] = (
            self._not_finite,
            lambda chunk: replace(chunk, dof_names=chunk.dof_names[::-1]),
            lambda chunk: replace(chunk, dof_names=chunk.dof_names[:-1]),
            lambda chunk: replace(chunk, actions=chunk.actions[:, :-1]),
            lambda chunk: replace(chunk, actions=chunk.actions[:0]),
            lambda chunk: replace(chunk, actions=chunk.actions.ravel()),
            lambda chunk: replace(chunk, action_space="torque"),
            lambda chunk: replace(
                chunk, action_period_ns=chunk.action_period_ns * int(self._rng.integers(-1, 3) * 2)
            ),
            lambda chunk: replace(chunk, chunk_id=max(0, chunk.chunk_id - int(self._rng.integers(1, 9)))),
            lambda chunk: replace(chunk, stamp_ns=chunk.stamp_ns - int(self._rng.integers(100, 3000)) * MS),
            lambda chunk: replace(chunk, stamp_ns=chunk.stamp_ns + 10_000 * MS),
            lambda chunk: replace(chunk, confidence=np.full(len(chunk.actions), np.nan, np.float32)),
            lambda chunk: replace(chunk, refined=np.ones(len(chunk.actions) + 1, bool)),
        )

    def next(self, now_ns: int) -> StampedChunk:
        """Make the chunk that arrives at ``now_ns`` [ns]."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.002:
            self._session_id, self._chunk_id = self._session_id + 1, 0
        self._chunk_id += 1
        # A few begin only later than now.
        age_ms = -50 if kind > 0.998 else int(rng.integers(*LATENCY_MS))
        path = self._paths[int(rng.integers(len(self._paths)))]
        chunk = StampedChunk(
            session_id=self._session_id,
            chunk_id=self._chunk_id,
            stamp_ns=now_ns - age_ms * MS,
            action_period_ns=self._robot.action_period_ns,
            action_space=self._robot.action_space,
            dof_names=self._robot.dof_names,
            actions=path().astype(np.float32),
        )
        if kind < 0.5:
            return self._spoilers[int(rng.integers(len(self._spoilers)))](chunk)
        return chunk

    def _smooth(self) -> np.ndarray:
        """Draw a sine of any phase and up to the whole range."""
        phase, turn = self._rng.random((2, 1, len(self._low))) * 2 * np.pi
        wave = np.sin(phase + turn / LENGTH * np.arange(LENGTH)[:, None])
        return self._low + (wave + 1) / 2 * (self._high - self._low)

    def _teleporting(self) -> np.ndarray:
        """Draw actions anywhere, also outside the limits."""
        return self._low + (self._rng.random((LENGTH, len(self._low))) * 2 - 0.5) * (self._high - self._low)

    def _nyquist(self) -> np.ndarray:
        return np.where(np.arange(LENGTH)[:, None] % 2, self._low, self._high)

    def _constant(self) -> np.ndarray:
        """Stay at one of the limits, drawn for each dof."""
        ends = np.where(self._rng.random(len(self._low)) < 0.5, self._low, self._high)
        return np.broadcast_to(ends, (LENGTH, len(ends)))

    def _huge(self) -> np.ndarray:
        return self._rng.standard_normal((LENGTH, len(self._low))) * 10.0 ** self._rng.integers(2, 38)

    def _tiny(self) -> np.ndarray:
        return self._rng.standard_normal((LENGTH, len(self._low))) * 10.0 ** -self._rng.integers(3, 45)

    def _not_finite(self, chunk: StampedChunk) -> StampedChunk:
        actions = chunk.actions.copy()
        row, column = self._rng.integers(actions.shape)
        actions[row, column] = self._rng.choice([np.nan, np.inf, -np.inf])
        return replace(chunk, actions=actions)
