"""Does a signal know which of several drafts of one observation is best, and what is that worth?

Most of the variance of errors is between observations, and none of that helps to choose among drafts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncvla_ros.common.bootstrap import ratio_ci95
from asyncvla_ros.training.rated_drafts import RatedDrafts


def within_observation(rated: RatedDrafts, executed: int) -> dict[str, Any] | None:
    """Compute concordance of signals with errors, and errors after choosing by them.

    A chunk's doubt is the mean over all of its actions, by which a policy chooses; its error is that of the
    actions that are executed. Intervals are percentile bootstraps over episodes, None with too few of them.

    Args:
        rated: Several drafts of each observation.
        executed: Actions of a chunk that are executed.

    Returns:
        ``drafts`` and ``observations``. ``concordance_within_observation``: for the rater and each rival, the
        share of pairs of drafts of an observation that are in the order of their errors, of actions at the
        ``same_place`` and of whole ``chunk``s, each with ``ci95``; chance is 0.5. ``selection``: mean squared
        error of the ``first`` draft, of the one chosen by each signal (``mean`` and ``medoid``: the nearest
        to it), of ``the_mean`` itself and of the ``best``; ``over_the_mean_ci95`` of the difference to
        ``the_mean``. None with a single draft of each.
    """
    if rated.count < 2 or rated.error_of_mean is None:
        return None
    of_mean = rated.error_of_mean[:, :executed].mean(-1)
    doubts = {name: rated.grouped(doubt) for name, doubt in rated.doubts.items()}
    error, episode = rated.grouped(rated.error), rated.episode[:: rated.count]
    return {
        "drafts": rated.count,
        "observations": len(error),
        "concordance_within_observation": {
            name: {
                "same_place": _concordance(doubt, error, episode),
                "chunk": _concordance(
                    doubt.mean(-1, keepdims=True), error[..., :executed].mean(-1, keepdims=True), episode
                ),
            }
            for name, doubt in doubts.items()
        },
        "selection": _selection(doubts, error[..., :executed].mean(-1), of_mean, episode),
    }


def _concordance(doubt: np.ndarray, error: np.ndarray, episode: np.ndarray) -> dict[str, Any]:
    """Compute concordance in pairs of drafts, ties of the doubt counting half; (b, k, p), (b, k, p), (b,)."""
    i, j = np.triu_indices(error.shape[1], 1)
    order, said = (np.sign(x[:, i] - x[:, j]) for x in (error, doubt))
    agreed = ((1 + order * said) / 2 * (order != 0)).sum((1, 2))
    pairs = (order != 0).sum((1, 2))
    value = float(agreed.sum() / pairs.sum()) if pairs.sum() else None
    return {"value": value, "ci95": ratio_ci95(agreed, pairs, episode), "pairs": int(pairs.sum())}


def _selection(
    doubts: dict[str, np.ndarray], error: np.ndarray, mean: np.ndarray, episode: np.ndarray
) -> dict[str, Any]:
    """Compute the errors after choosing, of drafts (b, k) and of their mean (b,)."""
    rows = np.arange(len(error))
    chosen = {name: error[rows, doubt.mean(-1).argmin(1)] for name, doubt in doubts.items()}
    errors = {"first": error[:, 0], **chosen, "the_mean": mean, "best": error.min(1)}
    ones = np.ones(len(error))
    return {
        name: {"error": float(e.mean()), "over_the_mean_ci95": ratio_ci95(e - mean, ones, episode)}
        for name, e in errors.items()
    }
