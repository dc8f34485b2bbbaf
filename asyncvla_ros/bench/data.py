"""How fast training data are read, and how much memory that takes: the loader of training alone."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.data.mixture import load_mixture
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer
from asyncvla_ros.training.batches import Batches
from asyncvla_ros.training.loader import Drawing, load_batches
from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.types import RunError

# Batches before the clock starts: workers begin, and each opens its first videos.
WARM_UP = 2


@dataclass(frozen=True)
class DataSettings:
    """What to read.

    Attributes:
        data: As in ``TrainSettings``, as are ``action_space``, ``cache``, ``skip_broken`` and ``decode``.
        workers: Processes that make batches; 0: this one.
        batches: To be timed.
        batch: Observations of each.
        image_size: Side to which images are resized [px].
        chunk_size: Actions of a chunk.
        seed: Of the order.
    """

    data: tuple[Path, ...]
    workers: int
    batches: int = 50
    batch: int = TrainSettings.batch
    image_size: int = nano_config(1).image_size
    chunk_size: int = AsyncVLAConfig.action_chunk_size
    action_space: str = TrainSettings.action_space
    cache: Path = TrainSettings.cache
    skip_broken: bool = False
    decode: str = "stream"
    seed: int = 0


def bench_data(settings: DataSettings) -> dict[str, Any]:
    """Time the loader.

    Args:
        settings: What to read.

    Returns:
        JSON-ready: ``samples_per_s``, ``peak_rss_mb`` (the sum over this process and the workers of the most
        that each has held, shared pages counted in each), ``peak_rss_mb_by_process``, ``workers``,
        ``frames`` and ``datasets``.

    Raises:
        AsyncVLAError: If the data cannot be used.
    """
    mixture = load_mixture(
        settings.data,
        settings.image_size,
        settings.cache,
        settings.action_space,
        skip_broken=settings.skip_broken,
        decode=settings.decode,
    )
    episodes = mixture.episodes
    tokenizer = build_tokenizer(episodes.instructions)
    contracts = [robot.features for robot in mixture.robots]
    config = nano_config(
        tokenizer.get_vocab_size(),
        num_cameras=len(contracts[0].cameras),
        image_size=settings.image_size,
        action_chunk_size=settings.chunk_size,
        execute_steps=1,
        max_state_dim=max(len(one.state_names) for one in contracts),
        max_action_dim=max(len(one.action_names) for one in contracts),
    )
    frames, _ = episodes.split(0.0)
    batches = load_batches(
        Batches(mixture, config, tokenizer, TrainSettings.shift, TrainSettings.brightness),
        Drawing(settings.seed, TrainSettings.draws, TrainSettings.p_sync, TrainSettings.p_prefix),
        Order(frames, episodes.images.lengths, mixture.weights, settings.seed),
        Share(settings.batch),
        0,
        WARM_UP + settings.batches,
        settings.workers,
    )
    began = time.perf_counter()
    peaks: list[float] = []
    for done, _ in enumerate(batches, start=1):
        if done == WARM_UP:
            began = time.perf_counter()
        if done == WARM_UP + settings.batches:
            # Now, while the workers are still there.
            peaks = [peak_rss_mb(None), *(peak_rss_mb(c.pid) for c in multiprocessing.active_children())]
    seconds = time.perf_counter() - began
    return {
        "samples_per_s": settings.batches * settings.batch / seconds,
        "peak_rss_mb": sum(peaks),
        "peak_rss_mb_by_process": peaks,
        "workers": settings.workers,
        "frames": len(episodes.episode),
        "datasets": len(episodes.datasets),
    }


def peak_rss_mb(process: int | None) -> float:
    """The most memory that a process has held so far [MB]; None: this one.

    Raises:
        RunError: If the system does not say.
    """
    file = Path("/proc") / (str(process) if process else "self") / "status"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError) as error:
        raise RunError(f"{file} does not tell the peak of memory: {error!r}") from error
