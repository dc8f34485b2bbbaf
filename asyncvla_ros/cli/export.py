"""``asyncvla export``: a checkpoint made ready for a robot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from asyncvla_ros.cli.options import (
    ConventionOption,
    DenoiseStepsOption,
    ExecuteStepsOption,
    RefineStepsOption,
    key_values,
)
from asyncvla_ros.types import AsyncVLAError


def export(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder to read.")],
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
    denoise_steps: DenoiseStepsOption = None,
    refine_steps: RefineStepsOption = None,
    execute_steps: ExecuteStepsOption = None,
    threshold: Annotated[float | None, typer.Option(help="Refine below this confidence.")] = None,
    robot: Annotated[
        str | None, typer.Option(help="Of a policy for several robots, the one that the copy is for.")
    ] = None,
    convention: ConventionOption = None,
    onnx: Annotated[
        bool, typer.Option(help="Write graphs for ONNX Runtime beside the weights of a small network.")
    ] = True,
) -> None:
    """Copy a checkpoint with its weights in half precision, to ship it; it computes as before.

    The options become the copy's defaults; what is left out stays as it is.
    """
    import torch

    from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
    from asyncvla_ros.model.onnx_export import export_onnx
    from asyncvla_ros.sim.libero.conventions import conventions_of

    source = load_checkpoint(checkpoint, robot=robot)
    config = source.model.config
    config = replace(
        config,
        num_denoise_steps=config.num_denoise_steps if denoise_steps is None else denoise_steps,
        num_refine_steps=config.num_refine_steps if refine_steps is None else refine_steps,
        execute_steps=config.execute_steps if execute_steps is None else execute_steps,
    )
    before, after = source.model.config.num_denoise_steps, config.num_denoise_steps
    if config.rater and config.rater.reads_variance and after != before:
        raise AsyncVLAError(
            f"--denoise-steps is {after}, but the rater in {checkpoint} has learned to read the variance of "
            f"{before} steps; export the policy with {after} first, then train its rater"
        )
    if threshold is not None:
        if config.rater is None:
            raise AsyncVLAError(f"--threshold is {threshold}, but the policy in {checkpoint} has no rater")
        config = replace(config, rater=replace(config.rater, threshold=threshold))
    if convention:
        said = {**source.features.conventions, **key_values(convention, "--convention")}
        source = replace(source, features=replace(source.features, conventions=said))
        conventions_of(source.features)
    source.model.configure(config)
    save_checkpoint(out, source, torch.bfloat16 if config.dtype == "bfloat16" else torch.float16)
    if onnx and config.attention == "matmul":
        export_onnx(source.model, out)
