"""What the benchmarks of the ROS graph measure; apart, so that the command line needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncvla_ros.common.options import option, seed_option
from asyncvla_ros.types import AsyncVLAError


def _transport() -> Any:
    return option("raw", "Kind of images: raw or compressed.")


def _width() -> Any:
    return option(640, "Of the images (px).")


def _height() -> Any:
    return option(480, "Of the images (px).")


@dataclass(frozen=True)
class TransportSettings:
    """Images of so many cameras, sent at a rate for some time by one process, received by another."""

    width: int = _width()
    height: int = _height()
    cameras: int = option(2, "1 or 2.", 1, maximum=2)
    hz: float = option(30.0, "Images of each camera (Hz).")
    seconds: float = option(60.0, "How long, each time (s).")
    transport: str = _transport()


@dataclass(frozen=True)
class StackSettings:
    """Two cameras, six joints at 100 Hz, commands at 100 Hz; every node in a process of its own."""

    width: int = _width()
    height: int = _height()
    hz: float = option(30.0, "Images of each of the two cameras (Hz).")
    seconds: float = option(30.0, "How long (s).")
    transport: str = _transport()


@dataclass(frozen=True)
class FaultSettings:
    """How often each fault is made; the times are in s."""

    kills: int = option(50, "Times that the policy is killed.", 1)
    repeats: int = option(5, "Times of each other fault.", 1)
    seed: int = seed_option()
    grace_s: float = option(
        0.0,
        "Added to each limit, on a machine that is busy with something else (ms).",
        flag="--grace-ms",
        read=lambda ms: ms / 1e3,
    )
    estops: int = option(100, "Emergency stops.", 1)
    only: tuple[str, ...] = option((), "A case, or what its name begins with; again for more.")

    def times(self, name: str) -> int:
        """Return how often the fault of a case is made."""
        return {"policy_killed": self.kills, "estop": self.estops}.get(name, self.repeats)

    @property
    def cases(self) -> list[str]:
        """Names of the cases, in order.

        Raises:
            AsyncVLAError: an entry of ``only`` is the beginning of none.
        """
        # Cases move nodes, and so need ROS, which the command line does not.
        from asyncvla_ros.ros.bench.fault_cases import CASES

        unknown = [begin for begin in self.only if not any(name.startswith(begin) for name in CASES)]
        if unknown:
            raise AsyncVLAError(f"unknown case {', '.join(unknown)}; the cases are {', '.join(CASES)}")
        return [name for name in CASES if not self.only or name.startswith(self.only)]
