"""Everything that decides a training run of the policy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from asyncvla_ros.common.options import (
    action_space_option,
    cache_option,
    decode_option,
    option,
    processes_option,
    seed_option,
    skip_broken_option,
)
from asyncvla_ros.types import AsyncVLAError

OPTIMIZERS = ("adamw", "adamw8bit")
STRATEGIES = ("ddp", "fsdp")
TRACKERS = ("tensorboard", "wandb", "trackio")
# Parts of the network that can be frozen or have a learning rate of their own.
PARTS = ("vision", "merger", "language", "heads")


@dataclass(frozen=True)
class TrainSettings:
    """One training run; the help of each field says what it is."""

    data: tuple[Path, ...] = option(help="LeRobot v3 dataset, a folder of them, or a data.yaml; repeatable.")
    out: Path = option(help="Run folder; a rerun continues where it stopped.")
    init: Path | None = option(None, "Begin with this checkpoint, such as one of `asyncvla init`.")
    steps: int = option(4500, "Optimizer steps.", 1)
    epochs: float = option(0.0, "Passes over the data; above 0 they decide the steps.", 0)
    batch: int = option(64, "Observations per step, over all processes.", 1)
    accumulate: int = option(1, "Pieces in which a process takes its part of a batch, for less memory.", 1)
    draws: int = option(4, "Flow draws (time, noise, mask) per observation that share its pass.", 1)
    lr: float = option(1e-3, "Peak learning rate; a cosine takes it to a hundredth.", 0)
    vision_lr: float = option(0.0, "Of the vision tower; 0: as the others.", 0)
    merger_lr: float = option(0.0, "Of the layer between vision and language; 0: as the others.", 0)
    warmup: float = option(200, "Steps of linear warm-up; below 1: a share of all steps.", 0)
    weight_decay: float = option(1e-4, "Of AdamW, on matrices only.", 0)
    clip: float = option(1.0, "Largest norm of a gradient.", 0)
    optimizer: str = option(
        "adamw", "adamw, or adamw8bit (torchao) for a quarter of its memory.", choices=OPTIMIZERS
    )
    ema: float = option(0.999, "Decay of the averaged weights, which are the ones saved; 0: none.", 0)
    p_sync: float = option(0.5, "Share of draws with an all-ones mask.", 0)
    p_prefix: float = option(0.2, "Share of draws that keep a contiguous prefix.", 0)
    p_earlier: float = option(
        0.5, "Share of observations whose other kept actions are the policy's own plan from before.", 0
    )
    max_age: int = option(8, "How much earlier that plan was made, at most (control steps).", 0)
    aux_weight: float = option(0.2, "Weight of regressing simulator quantities, where the data has them.", 0)
    chunk_size: int = option(0, "Actions per chunk; 0: as many as in --init, or 8.", 0)
    action_space: str = action_space_option()
    shift: int = option(4, "Images move by up to this many pixels each way.", 0)
    brightness: float = option(0.1, "Images are scaled by 1 +- this.", 0)
    blank_images: bool = option(False, "Control: a policy that learns blind.")
    freeze: tuple[str, ...] = option((), f"Parts that do not move, of {', '.join(PARTS)}; repeatable.")
    lora_rank: int = option(0, "Rank of LoRA on the language model, whose own weights rest; 0: none.", 0)
    lora_alpha: int = option(0, "Scale of LoRA; 0: twice the rank.", 0)
    checkpointing: bool = option(False, "Compute activations again in the backward pass, for less memory.")
    bf16: bool = option(True, "Compute in bfloat16.")
    compile: bool = option(
        False,
        "Compile the layers: half a minute first, then a small network trains faster.",
    )
    parallel: str = option("ddp", "ddp, or fsdp: weights sharded over the processes.", choices=STRATEGIES)
    holdout: float = option(0.1, "Share of episodes kept for the rater.", 0)
    seed: int = seed_option()
    save_every: int = option(250, "Steps between saved states.", 1)
    log_every: int = option(25, "Steps between reports.", 1)
    track: tuple[str, ...] = option((), f"Also report to {', '.join(TRACKERS)}; repeatable.")
    processes: int = processes_option()
    cache: Path = cache_option()
    skip_broken: bool = skip_broken_option()
    decode: str = decode_option("ahead")
    workers: int = option(0, "Processes that make batches, for each that trains.", 0)

    def __post_init__(self) -> None:
        for name, known in (("freeze", PARTS), ("track", TRACKERS)):
            if unknown := [part for part in getattr(self, name) if part not in known]:
                raise AsyncVLAError(f"--{name} is {', '.join(unknown)}, choose of {', '.join(known)}")
        if missing := [name for name in self.track if find_spec(name) is None]:
            raise AsyncVLAError(f"--track {missing[0]} needs the package: pip install {missing[0]}")
        if self.parallel == "fsdp" and self.lora_rank:
            raise AsyncVLAError("--lora-rank with --parallel fsdp: LoRA fits one GPU, use --parallel ddp")
        if self.parallel == "fsdp" and self.compile:
            raise AsyncVLAError(
                "--compile with --parallel fsdp: a small network does not need shards, use ddp"
            )
        if self.lora_rank and {"language", "heads"} & set(self.freeze):
            raise AsyncVLAError("--lora-rank trains language model and heads, so --freeze must leave them")

    def learning_rate(self, step: int, steps: int) -> float:
        """Compute the learning rate: a linear warm-up, then a cosine from ``lr`` to ``lr`` / 100.

        Args:
            step: Number of the step.
            steps: Of the whole run.
        """
        warmup = self.warmup if self.warmup >= 1 else self.warmup * steps
        if step < warmup:
            return self.lr * (step + 1) / warmup
        done = (step - warmup) / max(1, steps - warmup)
        return self.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


# May change between a run and its continuation: none of them alters what is learned.
FREE = (
    *("out", "save_every", "log_every", "cache", "decode", "workers", "track", "processes", "accumulate"),
    *("checkpointing", "compile"),
)
