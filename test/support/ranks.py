"""Work for several processes, which import it by name."""

from __future__ import annotations

import os

from asyncvla_ros.types import AsyncVLAError


def refuse(reason: str) -> None:
    """Refuse, in the second process only."""
    if os.environ["RANK"] == "1":
        raise AsyncVLAError(f"{reason} in process 1 of {os.environ['WORLD_SIZE']}")


def fail() -> None:
    """Fail as no code should."""
    raise ZeroDivisionError("a bug")
