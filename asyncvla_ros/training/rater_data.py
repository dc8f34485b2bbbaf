"""The data of a rater: episodes that the policy has not seen, to learn from and to measure on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from asyncvla_ros.common.data_record import DataRecord
from asyncvla_ros.data.episodes import Episodes, load_episodes
from asyncvla_ros.data.mixture import Mixture, Robot
from asyncvla_ros.model.checkpoint import Checkpoint
from asyncvla_ros.training.batches import Batches, step_generator
from asyncvla_ros.training.drafts import Drafter
from asyncvla_ros.training.rated_drafts import OBSERVATIONS
from asyncvla_ros.training.rater_settings import RaterSettings
from asyncvla_ros.types import AsyncVLAError


@dataclass(frozen=True)
class RaterData:
    """Frames of unseen episodes.

    Attributes:
        episodes: All that was read.
        record: What the checkpoint says of them.
        training: (n,) frames to learn from.
        validation: (m,) frames of other episodes, which only measure.
        plain: Batches as they are.
        augmented: Batches whose images are shifted and brightened.
    """

    episodes: Episodes
    record: DataRecord
    training: np.ndarray
    validation: np.ndarray
    plain: Batches
    augmented: Batches

    @staticmethod
    def of(settings: RaterSettings, base: Checkpoint) -> RaterData:
        """Read the data and split it.

        Raises:
            AsyncVLAError: If it is not known which episodes are unseen, or there are too few of them.
        """
        episodes = load_rater_episodes(settings, base)
        training, validation = _split(episodes, base, settings)
        record = episodes.record(settings.data, 0) if settings.unseen else base.trained_on
        assert record is not None
        robot = Robot("policy", base.features, base.state_stats, base.action_stats)
        mixture = Mixture.of_one_robot(episodes, robot)
        plain = Batches(mixture, base.model.config, base.tokenizer)
        augmented = Batches(
            mixture, base.model.config, base.tokenizer, settings.shift, brightness=settings.brightness
        )
        return RaterData(episodes, record, training, validation, plain=plain, augmented=augmented)


def load_rater_episodes(settings: RaterSettings, base: Checkpoint) -> Episodes:
    """Read all episodes of the data.

    Raises:
        AsyncVLAError: If they cannot be read.
    """
    size = base.model.config.image_size
    return load_episodes(
        settings.data, size, settings.cache, skip_broken=settings.skip_broken, decode=settings.decode
    )


def error_scale(drafter: Drafter, data: RaterData, settings: RaterSettings) -> float | tuple[float, ...]:
    """Find the error that a share ``doubtful`` of the policy's actions exceeds.

    Returns:
        One for all places in the chunk; with the label ``per_step``, one for each.
    """
    generator = step_generator(settings.seed, 2**31 - 1)
    pieces = drafter.some(data.plain, data.training, OBSERVATIONS, generator)
    errors = torch.cat([drafts.errors for _, drafts in pieces])
    if settings.label == "per_step":
        return tuple(errors.quantile(1 - settings.doubtful, dim=0).tolist())
    return float(errors.flatten().quantile(1 - settings.doubtful))


def _split(episodes: Episodes, base: Checkpoint, settings: RaterSettings) -> tuple[np.ndarray, np.ndarray]:
    """Split the frames that the policy has not seen into those to train on and those that only measure.

    Raises:
        AsyncVLAError: If it is not known which these are, or there are too few for both.
    """
    frames = episodes.unseen_frames(settings.data, base.trained_on, unseen=settings.unseen)
    validation_mask = episodes.validation_mask(frames, settings.validation)
    if validation_mask.all() or not validation_mask.any():
        count = len(np.unique(episodes.episode[frames]))
        raise AsyncVLAError(
            f"{count} episodes are there for the rater, expected at least "
            f"{max(2, round(1 / settings.validation))}; collect more"
        )
    return frames[~validation_mask], frames[validation_mask]
