"""Settings of a monitor's measurement; apart, so that the command line starts fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import option
from asyncvla_ros.observe.episode_monitor import ALPHA, SIGNALS, WINDOW
from asyncvla_ros.types import AsyncVLAError


@dataclass(frozen=True)
class MonitorSettings:
    """How to choose and measure the limit of an alarm.

    Attributes:
        window: Inferences of a running mean.
        alpha: Share of successful episodes that may raise an alarm.
        signals: Signals to watch.
        write: Checkpoint folder that receives the limit; None for no file.

    Raises:
        AsyncVLAError: If there is no such signal.
    """

    window: int = option(WINDOW, "Inferences of a running mean.", 1)
    alpha: float = option(ALPHA, "Share of successes that may raise an alarm.", 0.001, maximum=0.5)
    signals: tuple[str, ...] = option(SIGNALS, f"Of {', '.join(SIGNALS)}; repeatable.", flag="--signal")
    write: Path | None = option(None, "Checkpoint folder that receives the limit; it must be the policy's.")

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.signals) - set(SIGNALS)):
            raise AsyncVLAError(f"--signal is {', '.join(unknown)}, choose of {', '.join(SIGNALS)}")
