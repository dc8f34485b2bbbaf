"""What the benchmarks measure; apart, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import (
    action_space_option,
    cache_option,
    checkpoint_option,
    decode_option,
    device_option,
    option,
    seed_option,
    skip_broken_option,
    threads_option,
)
from asyncvla_ros.common.worker_pool import CPUS
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.training.settings import TrainSettings

SIZES = ("nano", "tiny", "3b")


@dataclass(frozen=True)
class BenchSettings:
    """What to time.

    Attributes:
        checkpoint: None for the shipped one, or for a random network.
        size: Of a random network; None: that of the checkpoint.
        random: Whether the network may be random.
        device: torch device.
        engine: See ``Policy.from_checkpoint``.
        threads: torch threads.
        repetitions: Measured inferences.
        recompute: Whether inferences without a cache are timed as well.
    """

    checkpoint: Path | None = checkpoint_option()
    size: str | None = option(None, "A random network of this size instead: nano, tiny or 3b.")
    random: bool = option(False, "Goes with --size: no weights are read.", flag="--random")
    device: str = device_option()
    engine: str = option("auto", "plain, onnx, compiled, graph, or auto: graph on CUDA, else onnx or plain.")
    threads: int = threads_option()
    repetitions: int = option(100, "Measured inferences.", 1)
    recompute: bool = option(True, "Time inferences without a cache as well.")


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

    data: tuple[Path, ...] = option(help="LeRobot v3 dataset, folder of them, or data.yaml; repeatable.")
    workers: int = option(CPUS, "Processes that make batches; 0: this one.", 0)
    batches: int = option(50, "Batches that are timed.", 1)
    batch: int = option(TrainSettings.batch, "Observations of each.", 1)
    image_size: int = option(nano_config(1).image_size, "Side to which images are resized (px).", 1)
    chunk_size: int = AsyncVLAConfig.chunk_size
    action_space: str = action_space_option()
    cache: Path = cache_option()
    skip_broken: bool = skip_broken_option()
    decode: str = decode_option("stream")
    seed: int = seed_option()


@dataclass(frozen=True)
class RuntimeSettings:
    """How to time the runtimes of the shipped policy.

    Attributes:
        threads: CPU threads of each runtime.
        repetitions: Measurements of each runtime.
    """

    threads: int = threads_option()
    repetitions: int = option(100, "Measurements of each runtime.", 1)


@dataclass(frozen=True)
class SafetySettings:
    """How much to send through the controller.

    Attributes:
        chunks: Adversarial chunks in all.
        seed: Seed of everything random.
        processes: Processes at the same time.
    """

    chunks: int = option(1_000_000, "Adversarial chunks in all.", 1)
    seed: int = seed_option()
    processes: int = option(CPUS, "Processes at the same time.", 1)
