"""Which checkpoint a training begins with; apart, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.common.options import (
    action_space_option,
    cache_option,
    option,
    seed_option,
    skip_broken_option,
)
from asyncvla_ros.types import AsyncVLAError

SIZES = ("tiny", "nano", "3b")
FULL_SIZE = "Qwen/Qwen2.5-VL-3B-Instruct"
# Fields of the same name are those of ``AsyncVLAConfig``.
_OF_NETWORK = (
    *("chunk_size", "n_action_steps", "max_state_dim", "max_action_dim", "num_action_layers"),
    *("num_denoise_steps", "image_size", "vision", "attention", "prompt"),
)


@dataclass(frozen=True)
class InitSettings:
    """One checkpoint; the help of each field says what it is.

    Raises:
        AsyncVLAError: If there is no such size, or neither weights nor the wish for none.
    """

    data: tuple[Path, ...] = option(help="As for `asyncvla train`: gives robot and statistics.")
    out: Path = option(help="Checkpoint folder to write.")
    size: str = option("3b", f"One of {', '.join(SIZES)}.")
    source: str | None = option(
        None, f"Folder or hub id with the weights, such as {FULL_SIZE}.", flag="--from"
    )
    random: bool = option(False, "Without weights, to measure or to test.", flag="--random")
    action_space: str = action_space_option()
    chunk_size: int | None = option(None, "Actions per chunk.", 1, former="action_chunk_size")
    n_action_steps: int | None = option(None, "Of them, before a new inference.", 1, former="execute_steps")
    max_state_dim: int | None = option(None, "State dims after padding.", 1)
    max_action_dim: int | None = option(None, "Action dims after padding.", 1)
    num_action_layers: int | None = option(None, "Layers of the output.", 1)
    num_denoise_steps: int | None = option(None, "Euler steps of a draft.")
    image_size: int | None = option(None, "Sides of the images (px).", 28)
    vision: str | None = option(
        None, "tower (Qwen's), or spatial_softmax, which learns from few images (nano's)."
    )
    attention: str | None = option(None, "matmul, sdpa, or flash_attention_2 where it is installed.")
    prompt: str | None = option(None, "With {images} and {instruction}; default: Qwen's chat.")
    seed: int = seed_option()
    cache: Path = cache_option()
    skip_broken: bool = skip_broken_option()

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise AsyncVLAError(f"--size is {self.size!r}, choose one of {SIZES}")
        if self.source is None and not self.random:
            raise AsyncVLAError(f"give --from, such as --from {FULL_SIZE}, or --random for no weights at all")
        if self.source is not None and self.vision not in (None, "tower"):
            raise AsyncVLAError(
                f"--vision is {self.vision!r}, but the weights of --from {self.source} see by a tower; leave "
                "--vision out, or --from (with --random)"
            )

    @property
    def overrides(self) -> dict[str, Any]:
        """Fields of ``AsyncVLAConfig`` that are not as usual."""
        asked = {name: getattr(self, name) for name in _OF_NETWORK}
        return {name: value for name, value in asked.items() if value is not None}
