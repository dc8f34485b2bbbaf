"""How good is a rater, beside what costs nothing: denoising variance, and an action's place in the chunk?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from asyncvla_ros.common.bootstrap import FEWEST_EPISODES
from asyncvla_ros.common.calibration import auroc, expected_calibration_error, reliability
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.rater import confidence_label
from asyncvla_ros.training.rated_drafts import RatedDrafts

_RESAMPLES = 500


def rater_metrics(rated: RatedDrafts, config: RaterConfig, seed: int) -> dict[str, Any]:
    """Compute ranking and calibration, all on the same actions.

    Returns:
        ``auroc_worst_quarter*`` of "this error is among the worst quarter": of the rater, of the denoising
        variance, and of the action's place in the chunk alone (by the mean errors in this very data).
        ``auroc_gain_over_variance_ci95``: percentile bootstrap over episodes; None with fewer than
        ``FEWEST_EPISODES``.
        ``auroc_within_position*``: among actions of the same place, mean over places; place alone has 0.5.
        ``ece``, ``reliability`` (mean confidence, mean label and count of each bin) and ``correlation``: of
        confidence and label.
        ``variance_threshold``: the variance that as many actions exceed as have low confidence.
        Nothing of the variance where it is not known.

    Raises:
        ValueError: If nothing was rated.
    """
    if rated.confidence is None:
        raise ValueError("the drafts were not rated")
    metrics = confidence_metrics(rated.confidence, rated.error, config)
    worst = _worst_quarter(rated.error)
    metrics |= {
        "auroc_worst_quarter_position_only": auroc(
            np.broadcast_to(rated.error.mean(0), rated.error.shape), worst
        ),
        "auroc_within_position": _within_position(-rated.confidence, rated.error),
        "mean_error": float(rated.error.mean()),
    }
    if rated.variance is None:
        return metrics
    return metrics | {
        "auroc_worst_quarter_variance": auroc(rated.variance, worst),
        "auroc_gain_over_variance_ci95": _gain_interval(
            rated.confidence, rated.variance, worst, rated.episode, seed=seed
        ),
        "auroc_within_position_variance": _within_position(rated.variance, rated.error),
        "variance_threshold": float(np.quantile(rated.variance, 1 - metrics["doubtful_share"])),
    }


def confidence_metrics(confidence: np.ndarray, error: np.ndarray, config: RaterConfig) -> dict[str, Any]:
    """Compute ranking and calibration of a confidence alone; keys as in ``rater_metrics``.

    Args:
        confidence: (n, l) of the rater.
        error: (n, l) mean squared error, normalized units.
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


def _gain_interval(
    confidence: np.ndarray, variance: np.ndarray, worst: np.ndarray, episode: np.ndarray, seed: int
) -> list[float] | None:
    """Bootstrap the 95 % interval of AUROC(rater) - AUROC(variance) over episodes: their frames are alike."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(episode == e) for e in np.unique(episode)]
    if len(rows) < FEWEST_EPISODES:
        return None
    gains = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        gains.append(auroc(-confidence[drawn], worst[drawn]) - auroc(variance[drawn], worst[drawn]))
    return [float(g) for g in np.nanquantile(gains, (0.025, 0.975))]
