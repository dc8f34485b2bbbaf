"""``asyncvla init``: a checkpoint to train, from the weights of Qwen2.5-VL and the robot of some data."""

from __future__ import annotations

from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.training.init_settings import InitSettings


@with_settings
def init(settings: InitSettings) -> None:
    """Write a checkpoint that `asyncvla train --init` goes on from."""
    import torch

    from asyncvla_ros.model.checkpoint import save_checkpoint
    from asyncvla_ros.training.initial import initial_checkpoint

    torch.manual_seed(settings.seed)
    checkpoint = initial_checkpoint(settings, settings.overrides)
    out = settings.out
    save_checkpoint(out, checkpoint)
    count = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    print(f"{out}: {count:,} parameters, {checkpoint.model.config.dtype} trunk; train it with --init {out}")
