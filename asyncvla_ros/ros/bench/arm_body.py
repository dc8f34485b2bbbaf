"""Joints without a body: they go where they are driven, or where a hand leads them."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.ros.bench.arm import JOINTS

# Share of the way to what is demanded that the joints go between two joint states.
FOLLOWS = 0.7
# How fast a hand leads them [rad/s].
HAND_SPEED = 0.5


class ArmBody:
    """Positions of the joints, one joint state after the other.

    Args:
        place: Where all of them are at first [rad].
        stiction: How far short of what is demanded they stop [rad].
        period_s: Time between two joint states [s].
    """

    def __init__(self, place: float, stiction: float, period_s: float):
        self.positions: np.ndarray = np.full(len(JOINTS), place)
        self._stiction = stiction
        self._reach = HAND_SPEED * period_s
        self._led = 0.0

    def drive(self, demand: np.ndarray, by_hand: float) -> None:
        """Move towards (6,) ``demand`` [rad]; the hand moves nothing."""
        behind = demand - self.positions
        driven = behind - np.clip(behind, -self._stiction, self._stiction)
        self.positions = self.positions + FOLLOWS * driven
        self._led = by_hand

    def lead(self, by_hand: float) -> None:
        """Follow the hand, without drives, to ``by_hand`` [rad] from where the drives left off."""
        step = float(np.clip(by_hand - self._led, -self._reach, self._reach))
        self.positions = self.positions + step
        self._led += step
