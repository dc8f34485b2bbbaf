"""How good is a rater, beside what costs nothing: denoising variance, and an action's place in the chunk?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from asyncvla_ros.common.calibration import auroc, expected_calibration_error, reliability
from asyncvla_ros.data.rows import Column
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.rater import confidence_label
from asyncvla_ros.training.batches import Batches, step_generator
from asyncvla_ros.training.drafts import Drafter

_RESAMPLES = 500
#: Drawing from fewer says nothing about others.
FEWEST_EPISODES = 5


@dataclass(frozen=True)
class RatedDrafts:
    """Drafts with all that could predict their errors.

    Attributes:
        confidence: (n, l) of the rater.
        variance: (n, l), see ``flow.denoising_variance``.
        error: (n, l) mean squared error, normalised units.
        episode: (n,) which episode each draft belongs to.
    """

    confidence: np.ndarray
    variance: np.ndarray
    error: np.ndarray
    episode: np.ndarray


@torch.no_grad()
def rate_drafts(
    drafter: Drafter, model: AsyncVLA, batches: Batches, frames: np.ndarray, episode: Column, seed: int
) -> RatedDrafts:
    """Draft and rate at up to 1024 of some frames.

    Args:
        drafter: The frozen policy.
        model: The policy with its rater.
        batches: The data, without augmentation.
        frames: (k,) of episodes that trained neither policy nor rater.
        episode: (frames of the whole data,) episode of each frame.
        seed: Determines frames and noise.
    """
    pieces = []
    for part, drafts in drafter.some(batches, frames, 1024, step_generator(seed, 2**31)):
        confidence = model.rate(drafts.prefix, drafts.actions, drafts.variance)
        known = (confidence, drafts.variance, drafts.errors)
        pieces.append((*(x.numpy(force=True) for x in known), episode[part]))
    return RatedDrafts(*map(np.concatenate, zip(*pieces, strict=True)))


def rater_figures(rated: RatedDrafts, config: RaterConfig, seed: int) -> dict[str, Any]:
    """Ranking and calibration, all on the same actions.

    Returns:
        ``auroc_worst_quarter*`` of "this error is among the worst quarter": of the rater, of the denoising
        variance, and of the action's place in the chunk alone (by the mean errors in this very data).
        ``auroc_gain_over_variance_ci95``: percentile bootstrap over episodes; None with fewer than
        ``FEWEST_EPISODES``.
        ``auroc_within_position*``: among actions of the same place, mean over places; place alone has 0.5.
        ``ece``, ``reliability`` (mean confidence, mean label and count of each bin) and ``correlation``: of
        confidence and label.
        ``variance_threshold``: the variance that as many actions exceed as the rater doubts.
    """
    figures = confidence_figures(rated.confidence, rated.error, config)
    worst = _worst_quarter(rated.error)
    return {
        **figures,
        "auroc_worst_quarter_variance": auroc(rated.variance, worst),
        "auroc_worst_quarter_position_only": auroc(
            np.broadcast_to(rated.error.mean(0), rated.error.shape), worst
        ),
        "auroc_gain_over_variance_ci95": _gain_interval(rated, worst, seed),
        "auroc_within_position": _within_position(-rated.confidence, rated.error),
        "auroc_within_position_variance": _within_position(rated.variance, rated.error),
        "mean_error": float(rated.error.mean()),
        "variance_threshold": float(np.quantile(rated.variance, 1 - figures["doubtful_share"])),
    }


def confidence_figures(confidence: np.ndarray, error: np.ndarray, config: RaterConfig) -> dict[str, Any]:
    """Ranking and calibration of a confidence alone; keys as in ``rater_figures``.

    Args:
        confidence: (n, l) of the rater.
        error: (n, l) mean squared error, normalised units.
        config: Whose label the confidence predicts.
    """
    label = confidence_label(torch.from_numpy(error), config).numpy()
    diagram = reliability(confidence, label)
    return {
        "n": int(error.size),
        "auroc_worst_quarter": auroc(-confidence, _worst_quarter(error)),
        "ece": expected_calibration_error(diagram),
        "reliability": [asdict(b) for b in diagram],
        "correlation": float(np.corrcoef(confidence.ravel(), label.ravel())[0, 1]),
        "doubtful_share": float((confidence < config.threshold).mean()),
    }


def _worst_quarter(error: np.ndarray) -> np.ndarray:
    return np.asarray(error > np.quantile(error, 0.75))


def _within_position(score: np.ndarray, error: np.ndarray) -> float:
    worst = error > np.quantile(error, 0.75, axis=0)
    return float(np.mean([auroc(score[:, i], worst[:, i]) for i in range(error.shape[1])]))


def _gain_interval(rated: RatedDrafts, worst: np.ndarray, seed: int) -> list[float] | None:
    """95 % interval of AUROC(rater) - AUROC(variance), by drawing episodes: frames of one are alike."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(rated.episode == e) for e in np.unique(rated.episode)]
    if len(rows) < FEWEST_EPISODES:
        return None
    gains = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        gains.append(
            auroc(-rated.confidence[drawn], worst[drawn]) - auroc(rated.variance[drawn], worst[drawn])
        )
    return [float(g) for g in np.nanquantile(gains, (0.025, 0.975))]
