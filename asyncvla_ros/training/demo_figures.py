"""Figures of chunks that were decided against those that were demonstrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncvla_ros.common.bootstrap import ratio_ci95
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.drafts import GRIPPER
from asyncvla_ros.training.rated_drafts import RatedDrafts
from asyncvla_ros.training.rater_figures import rater_figures
from asyncvla_ros.types import ActionChunk


def action_accuracy(
    actions: np.ndarray, demonstrated: np.ndarray, names: tuple[str, ...], gripper_middle: float | None
) -> dict[str, Any]:
    """Mean absolute errors in the units of the actions, and how often the gripper does the right thing.

    Args:
        actions: (n, l, d).
        demonstrated: (n, l, d).
        names: Of the d dofs.
        gripper_middle: Between open and closed; None without a dof called ``gripper``.

    Returns:
        ``mae`` and ``mae_per_step`` [l] over all dofs but the gripper, ``mae_per_dof`` {name}; and, of the
        gripper being on the right side, ``gripper_accuracy`` and ``gripper_accuracy_per_step`` [l] (or None).
    """
    error = np.abs(actions - demonstrated)
    moving = error[..., _moving(names)]
    figures: dict[str, Any] = {
        "mae": float(moving.mean()),
        "mae_per_step": moving.mean(axis=(0, 2)).tolist(),
        "mae_per_dof": {name: float(error[..., i].mean()) for i, name in enumerate(names)},
        "gripper_accuracy": None,
        "gripper_accuracy_per_step": None,
    }
    if gripper_middle is not None:
        i = names.index(GRIPPER)
        right = (actions[..., i] > gripper_middle) == (demonstrated[..., i] > gripper_middle)
        figures["gripper_accuracy"] = float(right.mean())
        figures["gripper_accuracy_per_step"] = right.mean(axis=0).tolist()
    return figures


def refinement(
    actions: dict[str, np.ndarray],
    demonstrated: np.ndarray,
    answers: list[ActionChunk],
    names: tuple[str, ...],
    episode: np.ndarray,
) -> dict[str, Any] | None:
    """How the refined actions, and no others, got nearer to the demonstrated ones.

    Args:
        actions: (n, l, d) of ``sfm`` and of ``afm``, from the same noise.
        demonstrated: (n, l, d).
        answers: n decisions of ``afm``.
        names: Of the d dofs; the gripper does not count.
        episode: (n,) to which each observation belongs.

    Returns:
        ``share`` of the actions that were refined, their ``mae_before`` and ``mae_after``, and ``gain_ci95``
        of the difference (before minus after, percentile bootstrap over episodes; None with fewer than
        ``FEWEST_EPISODES``). None if none was refined.
    """
    chosen = np.stack([answer.refined for answer in answers])
    if not chosen.any():
        return None
    before, after = (
        np.where(chosen, np.abs(actions[mode] - demonstrated)[..., _moving(names)].mean(-1), 0).sum(1)
        for mode in ("sfm", "afm")
    )
    count = chosen.sum(1)
    return {
        "share": float(chosen.mean()),
        "mae_before": float(before.sum() / count.sum()),
        "mae_after": float(after.sum() / count.sum()),
        "gain_ci95": ratio_ci95(before - after, count, episode),
    }


def calibration(
    answers: list[ActionChunk], error: np.ndarray, episode: np.ndarray, rater: RaterConfig | None, seed: int
) -> dict[str, Any] | None:
    """Ranking and calibration of the confidence in drafts; keys as in ``rater.json``.

    Args:
        answers: n decisions.
        error: (n, l) mean squared error of the draft, normalised units.
        episode: (n,) to which each observation belongs.
        rater: Whose label the confidence predicts.
        seed: Of the bootstrap.

    Returns:
        None if the drafts were not rated.
    """
    rated = [answer.confidence for answer in answers if answer.confidence is not None]
    if rater is None or not rated:
        return None
    known = [answer.variance for answer in answers if answer.variance is not None]
    variance = np.stack(known) if len(known) == len(rated) else None
    drafts = RatedDrafts(np.stack(rated), variance, error, episode)
    return {"label": rater.label, **rater_figures(drafts, rater, seed)}


def _moving(names: tuple[str, ...]) -> list[int]:
    return [i for i, name in enumerate(names) if name != GRIPPER]
