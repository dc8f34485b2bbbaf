"""Disturbance of the expert's actions, so that demonstrations show recovery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asyncvla_ros.sim.expert.motion import Phase


@dataclass(frozen=True)
class NoiseSettings:
    """Disturbance of the executed action, in action units.

    Attributes:
        std_range: range of the standard deviation of correlated noise, drawn once per episode.
        correlation: correlation of the noise between control steps.
        aligned_scale: factor on the noise while the expert aligns and closes the fingers.
        kick_probability: probability per step of a random action held for ``kick_steps``.
        slip_probability: probability per episode of opening the gripper once on the way to the goal.
    """

    std_range: tuple[float, float] = (0.05, 0.3)
    correlation: float = 0.85
    aligned_scale: float = 0.5
    kick_probability: float = 0.01
    kick_steps: int = 4
    slip_probability: float = 0.08


DEFAULT_NOISE = NoiseSettings()


class Disturbance:
    """Disturb the expert's actions during one episode."""

    def __init__(self, settings: NoiseSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        self._std = rng.uniform(*settings.std_range)
        self._noise: np.ndarray = np.zeros(6)
        self._kick: np.ndarray = np.zeros(6)
        self._kick_left = 0
        self._slip_in = int(rng.integers(5, 25)) if rng.random() < settings.slip_probability else -1
        self._slip_left = 0

    def apply(self, action: np.ndarray, phase: Phase) -> np.ndarray:
        """Disturb an action.

        Args:
            action: (7,) the expert's action.
            phase: the expert's phase.

        Returns:
            (7,) action to execute, in [-1, 1].
        """
        settings, rng = self._settings, self._rng
        rho = settings.correlation
        self._noise = rho * self._noise + np.sqrt(1 - rho**2) * self._std * rng.standard_normal(6)
        if self._kick_left == 0 and rng.random() < settings.kick_probability:
            self._kick = rng.uniform(-1, 1, 6)
            self._kick_left = settings.kick_steps
        executed = np.array(action, dtype=np.float64)
        if self._kick_left > 0:
            self._kick_left -= 1
            executed[:6] = self._kick
        else:
            aligned = phase in (Phase.DESCEND, Phase.CLOSE)
            executed[:6] += self._noise * (settings.aligned_scale if aligned else 1.0)
        if phase is Phase.CARRY and self._slip_in >= 0:
            self._slip_left = 4 if self._slip_in == 0 else 0
            self._slip_in -= 1
        if self._slip_left > 0:
            self._slip_left -= 1
            executed[6] = -1.0
        return np.clip(executed, -1.0, 1.0)
