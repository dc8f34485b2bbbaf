"""What a policy is compared with; apart, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import (
    THREADS,
    cache_option,
    checkpoint_option,
    device_option,
    option,
    seed_option,
    skip_broken_option,
    unseen_option,
)
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.strategy import Strategy


@dataclass(frozen=True)
class DemoEvalSettings:
    """What to compare.

    Attributes:
        data: What the policy was trained on: its held-out episodes count.
        checkpoint: Folder of the policy; None for the shipped one.
        strategy: Compared with the synchronous draft that it starts from.
        unseen: The data trained nothing: all of its episodes count.
        frames: Observations at most, drawn at random.
        seed: Determines observations and noise.
        device: torch device.
        threads: Of torch.
        cache: Folder of decoded images.
        skip_broken: Leave out episodes with states or actions that are no numbers.
        loop_gain: Also measure how an action answers those kept before it, see ``training.loop_gain``.
    """

    data: tuple[Path, ...] = option(help="What the policy was trained on; repeatable.")
    checkpoint: Path | None = checkpoint_option()
    strategy: Strategy = Strategy()
    unseen: bool = unseen_option()
    frames: int = option(500, "Observations at most.", 1)
    seed: int = seed_option()
    device: str = device_option()
    threads: int = THREADS
    cache: Path = cache_option()
    skip_broken: bool = skip_broken_option()
    loop_gain: bool = option(False, "Also how an action answers those kept before it.", flag="--loop-gain")

    @property
    def policy(self) -> Path:
        """Folder of the policy."""
        return self.checkpoint or shipped_checkpoint()
