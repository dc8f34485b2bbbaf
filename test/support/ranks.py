"""Work for several processes, which import it by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from asyncvla_ros.training.run_state import RunState
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.training.train import _train
from asyncvla_ros.types import AsyncVLAError


def refuse(reason: str) -> None:
    """Refuse, in the second process only."""
    if os.environ["RANK"] == "1":
        raise AsyncVLAError(f"{reason} in process 1 of {os.environ['WORLD_SIZE']}")


def fail() -> None:
    """Fail as no code should."""
    raise ZeroDivisionError("a bug")


def train_until(settings: TrainSettings, step: int) -> None:
    """Train, and fail in every process when the state of a step has been written."""
    save = RunState.save

    def save_and_fail(self: RunState, done: int, write: Callable[[Path], None]) -> None:
        save(self, done, write)
        if done == step:
            raise ZeroDivisionError("killed")

    RunState.save = save_and_fail  # type: ignore[method-assign,assignment]
    _train(settings)
