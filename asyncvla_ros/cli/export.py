"""``asyncvla export``: a checkpoint made ready for a robot."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asyncvla_ros.cli.options import ConventionOption, StrategyOptions
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.common.written import key_values
from asyncvla_ros.model.export_settings import ExportSettings
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

if TYPE_CHECKING:
    from asyncvla_ros.model.config import AsyncVLAConfig


@with_settings
def export(
    settings: ExportSettings,
    strategy: StrategyOptions,
    convention: ConventionOption = None,
) -> None:
    """Copy a checkpoint with its weights in half precision, to ship it; it computes as before.

    The options become the copy's defaults; what is left out stays as it is.
    """
    import torch

    from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
    from asyncvla_ros.model.onnx_export import export_onnx
    from asyncvla_ros.model.strategy_check import check_strategy
    from asyncvla_ros.sim.libero.conventions import conventions_of

    source = load_checkpoint(settings.checkpoint, robot=settings.robot)
    config = _decided(source.model.config, strategy, settings.checkpoint)
    if settings.n_action_steps is not None:
        config = replace(config, n_action_steps=settings.n_action_steps)
    check_strategy(config.resolve(Strategy()), config)
    if convention:
        said = {**source.features.conventions, **key_values(convention, "--convention")}
        source = replace(source, features=replace(source.features, conventions=said))
        conventions_of(source.features)
    source.model.configure(config)
    save_checkpoint(settings.out, source, torch.bfloat16 if config.dtype == "bfloat16" else torch.float16)
    if settings.onnx and config.attention == "matmul":
        export_onnx(source.model, settings.out)


def _decided(config: AsyncVLAConfig, strategy: Strategy, checkpoint: Path) -> AsyncVLAConfig:
    """Make the defaults of a strategy, where it has any, those of a config."""
    given = {name: value for name, value in asdict(strategy).items() if value is not None}
    before, after = config.num_denoise_steps, given.pop("denoise_steps", config.num_denoise_steps)
    if config.rater and config.rater.reads and after != before:
        raise AsyncVLAError(
            f"--denoise-steps is {after}, but the rater in {checkpoint} has learned to read the "
            f"{', '.join(config.rater.reads)} of {before} steps; export the policy with {after} first, then "
            "train its rater"
        )
    kept, select = dict(config.strategy), config.resolve(strategy).select
    if select != config.resolve(Strategy()).select:
        # A threshold on another quantity.
        kept.pop("threshold", None)
    if select != "variance" and (threshold := given.pop("threshold", None)) is not None:
        if config.rater is None:
            raise AsyncVLAError(f"--threshold is {threshold}, but the policy in {checkpoint} has no rater")
        config = replace(config, rater=replace(config.rater, threshold=threshold))
    refine_steps = given.pop("refine_steps", config.num_refine_steps)
    return replace(config, num_denoise_steps=after, num_refine_steps=refine_steps, strategy={**kept, **given})
