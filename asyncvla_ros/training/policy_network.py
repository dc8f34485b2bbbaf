"""The network that a policy's training begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from asyncvla_ros.data.mixture import Mixture
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint
from asyncvla_ros.model.config import AsyncVLAConfig, load_config
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer, knows_all
from asyncvla_ros.training.lora import add_lora
from asyncvla_ros.training.objective import freeze
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.training.warm_start import require_same_holdout, warm_start
from asyncvla_ros.types import AsyncVLAError


def begin_policy(mixture: Mixture, settings: TrainSettings) -> Checkpoint:
    """Make the policy to be trained, with everything that its checkpoint says.

    Raises:
        AsyncVLAError: If the checkpoint of ``settings.init`` does not fit the data.
    """
    robot, record = mixture.robots[0], mixture.episodes.record(settings.data, settings.holdout)
    source = None if settings.init is None else load_checkpoint(settings.init)
    if source is not None:
        require_same_holdout(source, record)
        record = replace(record, before=source.trained_on)
    texts = mixture.episodes.instructions
    if source is None:
        tokenizer = build_tokenizer(texts)
        model = AsyncVLA(_nano(mixture, tokenizer.get_vocab_size(), settings))
    else:
        model, tokenizer = _continued(source, texts, mixture, settings)
    model.configure(replace(model.config, blank_images=settings.blank_images))
    _set_trainable(model, settings)
    robots = tuple((one.name, one.features, one.state_stats, one.action_stats) for one in mixture.robots)
    stats = robot.state_stats, robot.action_stats
    return Checkpoint(model, tokenizer, robot.features, *stats, trained_on=record, robots=robots)


def image_size(init: Path | None) -> int:
    """Return the width and height of the images that the network sees [px]."""
    return nano_config(1).image_size if init is None else load_config(init).image_size


def _continued(
    source: Checkpoint, texts: Sequence[str], mixture: Mixture, settings: TrainSettings
) -> tuple[AsyncVLA, Tokenizer]:
    """Take the network of a checkpoint, without its rater, for chunks of the given size and all words."""
    model, tokenizer = source.model, source.tokenizer
    model.attach_rater(None)
    if not knows_all(tokenizer, texts):
        tokenizer = build_tokenizer(texts)
        model = AsyncVLA(_with_words(model.config, tokenizer.get_vocab_size()))
        warm_start(model, tokenizer, source)
    length = settings.chunk_size or model.config.chunk_size
    execute = min(model.config.n_action_steps, length)
    model.configure(replace(model.config, chunk_size=length, n_action_steps=execute))
    _require_room(model.config, mixture)
    return model, tokenizer


def _with_words(config: AsyncVLAConfig, count: int) -> AsyncVLAConfig:
    text = {**config.backbone["text_config"], "vocab_size": count}
    return replace(config, backbone={**config.backbone, "text_config": text})


def _nano(mixture: Mixture, words: int, settings: TrainSettings) -> AsyncVLAConfig:
    contracts = [robot.features for robot in mixture.robots]
    length = settings.chunk_size or AsyncVLAConfig.chunk_size
    return nano_config(
        words,
        num_cameras=len(contracts[0].cameras),
        chunk_size=length,
        n_action_steps=min(AsyncVLAConfig.n_action_steps, length),
        max_state_dim=max(AsyncVLAConfig.max_state_dim, *(len(c.state_names) for c in contracts)),
        max_action_dim=max(AsyncVLAConfig.max_action_dim, *(len(c.action_names) for c in contracts)),
        rater=None,
    )


def _require_room(config: AsyncVLAConfig, mixture: Mixture) -> None:
    """Raise AsyncVLAError unless the network has room for the robots of the data."""
    for robot in mixture.robots:
        features = robot.features
        cameras, state, action = map(len, (features.cameras, features.state_names, features.action_names))
        fits = state <= config.max_state_dim and action <= config.max_action_dim
        if cameras != config.num_cameras or not fits:
            raise AsyncVLAError(
                f"robot {robot.name!r} has {cameras} cameras, {state} state and {action} action dims; the "
                f"checkpoint of --init has {config.num_cameras} cameras and room for {config.max_state_dim} "
                f"and {config.max_action_dim} dims; make one for this data with `asyncvla init`"
            )


def _set_trainable(model: AsyncVLA, settings: TrainSettings) -> None:
    """Freeze parts, add LoRA, and choose what a backward pass computes again."""
    freeze(model, settings.freeze)
    if settings.lora_rank:
        add_lora(model, settings.lora_rank, settings.lora_alpha)
        freeze(model, settings.freeze)
    if settings.checkpointing:
        model.backbone.qwen.activation_checkpointing_enable()
