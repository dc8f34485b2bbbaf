"""``asyncvla init``: a checkpoint to train, from the weights of Qwen2.5-VL and the robot of some data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asyncvla_ros.cli.options import CACHE, CacheOption, DenoiseStepsOption, SeedOption, SkipBrokenOption
from asyncvla_ros.types import AsyncVLAError

SIZES = ("tiny", "nano", "3b")
FULL_SIZE = "Qwen/Qwen2.5-VL-3B-Instruct"


def init(
    data: Annotated[list[Path], typer.Option(help="As for `asyncvla train`: gives robot and statistics.")],
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
    size: Annotated[str, typer.Option(help=f"One of {', '.join(SIZES)}.")] = "3b",
    source: Annotated[
        str | None, typer.Option("--from", help=f"Folder or hub id with the weights, such as {FULL_SIZE}.")
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Without weights, to measure or to test.")] = False,
    action_space: Annotated[
        str, typer.Option(help="delta_ee_pose, ee_pose, joint_position or delta_joint_position.")
    ] = "delta_ee_pose",
    action_chunk_size: Annotated[int | None, typer.Option(min=1, help="Actions per chunk.")] = None,
    execute_steps: Annotated[int | None, typer.Option(min=1, help="Of them, before a new decision.")] = None,
    max_state_dim: Annotated[int | None, typer.Option(min=1, help="State dims after padding.")] = None,
    max_action_dim: Annotated[int | None, typer.Option(min=1, help="Action dims after padding.")] = None,
    num_action_layers: Annotated[int | None, typer.Option(min=1, help="Layers of the output.")] = None,
    num_denoise_steps: DenoiseStepsOption = None,
    image_size: Annotated[int | None, typer.Option(min=28, help="Sides of the images (px).")] = None,
    attention: Annotated[
        str | None, typer.Option(help="matmul, sdpa, or flash_attention_2 where it is installed.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="With {images} and {instruction}; default: Qwen's chat.")
    ] = None,
    seed: SeedOption = 0,
    cache: CacheOption = CACHE,
    skip_broken: SkipBrokenOption = False,
) -> None:
    """Write a checkpoint that `asyncvla train --init` goes on from."""
    import torch

    from asyncvla_ros.model.checkpoint import save_checkpoint
    from asyncvla_ros.training.initial import initial_checkpoint

    if size not in SIZES:
        raise AsyncVLAError(f"--size is {size!r}, choose one of {SIZES}")
    if source is None and not random:
        raise AsyncVLAError(f"give --from, such as --from {FULL_SIZE}, or --random for no weights at all")
    asked: dict[str, Any] = {
        "action_chunk_size": action_chunk_size,
        "execute_steps": execute_steps,
        "max_state_dim": max_state_dim,
        "max_action_dim": max_action_dim,
        "num_action_layers": num_action_layers,
        "num_denoise_steps": num_denoise_steps,
        "image_size": image_size,
        "attention": attention,
        "prompt": prompt,
    }
    overrides = {name: value for name, value in asked.items() if value is not None}
    torch.manual_seed(seed)
    checkpoint = initial_checkpoint(
        data, size, source, random, overrides, action_space, cache, skip_broken=skip_broken
    )
    save_checkpoint(out, checkpoint)
    count = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    print(f"{out}: {count:,} parameters, {checkpoint.model.config.dtype} trunk; train it with --init {out}")
