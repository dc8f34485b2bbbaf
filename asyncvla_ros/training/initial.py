"""The checkpoint that training of a pretrained network begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from asyncvla_ros.common.data_record import DataRecord
from asyncvla_ros.data.mixture import Mixture, load_mixture
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.pretrained import find_pretrained, pretrained_network_config, pretrained_policy
from asyncvla_ros.model.sizes import full_config, nano_config, tiny_config
from asyncvla_ros.model.text import build_tokenizer, load_tokenizer
from asyncvla_ros.training.init_settings import InitSettings
from asyncvla_ros.types import AsyncVLAError

# Of images that are not looked at.
_ANY_SIZE = 28


def initial_checkpoint(settings: InitSettings, overrides: Mapping[str, Any]) -> Checkpoint:
    """Make a network with room for the robots of some data, and their statistics.

    Args:
        settings: Data and network. Where there is a source (folder or hub id of Qwen2.5-VL), the size must
            agree with it, and ``random`` leaves its weights out; without one, words are those of the data.
        overrides: Fields of ``AsyncVLAConfig``, such as ``settings.overrides``.

    Raises:
        AsyncVLAError: If data or source cannot be used.
    """
    size, source = settings.size, settings.source
    mixture = load_mixture(
        settings.data,
        _ANY_SIZE,
        settings.cache,
        settings.action_space,
        skip_broken=settings.skip_broken,
        decode="stream",
    )
    robot, shape = mixture.robots[0], {**_room(mixture, size, overrides), **overrides}
    if source is None:
        tokenizer = build_tokenizer(mixture.episodes.instructions)
        words = tokenizer.get_vocab_size()
        model = AsyncVLA(_config_without_source(size, words, shape))
    else:
        folder = find_pretrained(source)
        tokenizer = load_tokenizer(folder)
        config = pretrained_network_config(folder, tokenizer, **shape)
        if size == "3b" and config.hidden_size != full_config().hidden_size:
            raise AsyncVLAError(
                f"--size is '3b', but {source} has tokens of width {config.hidden_size}, expected "
                f"{full_config().hidden_size}; give --size tiny for other sizes"
            )
        model = pretrained_policy(folder, config, random=settings.random)
    robots = tuple((one.name, one.features, one.state_stats, one.action_stats) for one in mixture.robots)
    stats = robot.state_stats, robot.action_stats
    nothing = DataRecord.of_nothing()
    return Checkpoint(model, tokenizer, robot.features, *stats, trained_on=nothing, robots=robots)


def _room(mixture: Mixture, size: str, overrides: Mapping[str, Any]) -> dict[str, int]:
    """Make room for the data's cameras and dims; of a short chunk execute no more than there is."""
    usual = {"tiny": tiny_config(1), "nano": nano_config(1), "3b": full_config()}[size]
    contracts = [robot.features for robot in mixture.robots]
    shape = {
        "num_cameras": len(contracts[0].cameras),
        "max_state_dim": max(usual.max_state_dim, *(len(one.state_names) for one in contracts)),
        "max_action_dim": max(usual.max_action_dim, *(len(one.action_names) for one in contracts)),
    }
    if "chunk_size" in overrides:
        shape["n_action_steps"] = min(AsyncVLAConfig.n_action_steps, overrides["chunk_size"])
    return shape


def _config_without_source(size: str, words: int, shape: Mapping[str, Any]) -> AsyncVLAConfig:
    if size == "3b":
        # Its vocabulary as it is; the words of the data and the marks around images have places in it.
        marks = {
            "image_token_id": 2,
            "video_token_id": 3,
            "vision_start_token_id": 4,
            "vision_end_token_id": 5,
        }
        config = full_config(**{"prompt": "{images}{instruction}", **shape})
        return replace(config, backbone={**config.backbone, **marks})
    return (tiny_config if size == "tiny" else nano_config)(words, **{**shape, "rater": None})
