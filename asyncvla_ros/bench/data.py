"""How fast training data are read, and how much memory that takes: the loader of training alone."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asyncvla_ros.bench.settings import DataSettings
from asyncvla_ros.data.mixture import Mixture, load_mixture
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer
from asyncvla_ros.training.batches import Batch, Batches
from asyncvla_ros.training.loader import Drawing, load_batches
from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.types import RunError

# Batches before the clock starts: workers begin, and each opens its first videos.
WARM_UP = 2


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
    seconds, peaks = _time(_batches(mixture, settings), settings.batches)
    return {
        "samples_per_s": settings.batches * settings.batch / seconds,
        "peak_rss_mb": sum(peaks),
        "peak_rss_mb_by_process": peaks,
        "workers": settings.workers,
        "frames": len(mixture.episodes.episode),
        "datasets": len(mixture.episodes.datasets),
    }


def _batches(mixture: Mixture, settings: DataSettings) -> Iterator[Batch]:
    """Yield the batches of a training run with default settings."""
    episodes = mixture.episodes
    tokenizer = build_tokenizer(episodes.instructions)
    contracts = [robot.features for robot in mixture.robots]
    config = nano_config(
        tokenizer.get_vocab_size(),
        num_cameras=len(contracts[0].cameras),
        image_size=settings.image_size,
        chunk_size=settings.chunk_size,
        n_action_steps=1,
        max_state_dim=max(len(one.state_names) for one in contracts),
        max_action_dim=max(len(one.action_names) for one in contracts),
    )
    frames, _ = episodes.split(0.0)
    return load_batches(
        Batches(mixture, config, tokenizer, TrainSettings.shift, brightness=TrainSettings.brightness),
        Drawing(settings.seed, TrainSettings.draws, TrainSettings.p_sync, TrainSettings.p_prefix),
        Order(frames, episodes.images.lengths, mixture.weights, settings.seed),
        Share(settings.batch),
        start=0,
        stop=WARM_UP + settings.batches,
        workers=settings.workers,
    )


def _time(batches: Iterator[Batch], count: int) -> tuple[float, list[float]]:
    """Time ``count`` batches after the warm-up [s], and measure the peak memory of each process [MB]."""
    began = time.perf_counter()
    peaks: list[float] = []
    for done, _ in enumerate(batches, start=1):
        if done == WARM_UP:
            began = time.perf_counter()
        if done == WARM_UP + count:
            # Now, while the workers are still there.
            peaks = [peak_rss_mb(None), *(peak_rss_mb(c.pid) for c in multiprocessing.active_children())]
    return time.perf_counter() - began, peaks


def peak_rss_mb(process: int | None) -> float:
    """Return the peak memory of a process so far [MB]; None is this one.

    Raises:
        RunError: If the system does not say.
    """
    file = Path("/proc") / (str(process) if process else "self") / "status"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError) as error:
        raise RunError(f"{file} does not tell the peak of memory: {error!r}") from error
