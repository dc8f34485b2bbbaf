"""Derive metrics from a policy's answers beside what was demonstrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from asyncvla_ros.common.bootstrap import ratio_ci95
from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.drafts import GRIPPER
from asyncvla_ros.model.rater import token_errors
from asyncvla_ros.training.demo_inference import DemoInference
from asyncvla_ros.training.rated_drafts import RatedDrafts
from asyncvla_ros.training.rater_metrics import rater_metrics


def demo_metrics(
    inferences: Sequence[DemoInference],
    names: tuple[str, ...],
    gripper_middle: float | None,
    stats: NormStats,
    rater: RaterConfig | None,
    seed: int,
) -> dict[str, Any]:
    """Derive all metrics that need the policy's own answers.

    Args:
        inferences: At least one.
        names: Of the d dofs.
        gripper_middle: Between open and closed; None without a dof called ``gripper``.
        stats: Of the actions.
        rater: Whose label the confidence predicts.
        seed: Of the bootstraps.

    Returns:
        ``action_accuracy`` by mode, ``refined`` (see ``refinement``; None for ``sfm``), ``calibration`` (None
        where the strategy asks no rater).
    """
    demonstrated, actions = _demonstrated(inferences), {"sfm": _drafts(inferences)}
    draft, truth = (torch.from_numpy(stats.normalize(x)) for x in (actions["sfm"], demonstrated))
    error = token_errors(draft, truth, torch.ones(len(names))).numpy()
    is_refining = any(one.answer is not one.draft for one in inferences)
    if is_refining:
        actions["afm"] = _answers(inferences)
    return {
        "action_accuracy": {
            mode: action_accuracy(given, demonstrated, names, gripper_middle)
            for mode, given in actions.items()
        },
        "refined": refinement(inferences, names) if is_refining else None,
        "calibration": calibration(inferences, error, rater, seed),
    }


def action_accuracy(
    actions: np.ndarray, demonstrated: np.ndarray, names: tuple[str, ...], gripper_middle: float | None
) -> dict[str, Any]:
    """Compute errors in the units of the actions, and how often the gripper does the right thing.

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
    metrics: dict[str, Any] = {
        "mae": float(moving.mean()),
        "mae_per_step": moving.mean(axis=(0, 2)).tolist(),
        "mae_per_dof": {name: float(error[..., i].mean()) for i, name in enumerate(names)},
        "gripper_accuracy": None,
        "gripper_accuracy_per_step": None,
    }
    if gripper_middle is not None:
        i = names.index(GRIPPER)
        right = (actions[..., i] > gripper_middle) == (demonstrated[..., i] > gripper_middle)
        metrics["gripper_accuracy"] = float(right.mean())
        metrics["gripper_accuracy_per_step"] = right.mean(axis=0).tolist()
    return metrics


def refinement(inferences: Sequence[DemoInference], names: tuple[str, ...]) -> dict[str, Any] | None:
    """Compute how the refined actions, and no others, got nearer to the demonstrated ones.

    Args:
        inferences: n of them.
        names: Of the d dofs; the gripper does not count.

    Returns:
        ``share`` of the actions that were refined, their ``mae_before`` and ``mae_after``, and ``gain_ci95``
        of the difference (before minus after, percentile bootstrap over episodes; None with fewer than
        ``FEWEST_EPISODES``). None if none was refined.
    """
    chosen = np.stack([one.answer.refined for one in inferences])
    if not chosen.any():
        return None
    demonstrated = _demonstrated(inferences)
    before, after = (
        np.where(chosen, np.abs(actions - demonstrated)[..., _moving(names)].mean(-1), 0).sum(1)
        for actions in (_drafts(inferences), _answers(inferences))
    )
    count = chosen.sum(1)
    return {
        "share": float(chosen.mean()),
        "mae_before": float(before.sum() / count.sum()),
        "mae_after": float(after.sum() / count.sum()),
        "gain_ci95": ratio_ci95(before - after, count, _episodes(inferences)),
    }


def calibration(
    inferences: Sequence[DemoInference], error: np.ndarray, rater: RaterConfig | None, seed: int
) -> dict[str, Any] | None:
    """Compute ranking and calibration of the confidence in drafts; keys as in ``rater.json``.

    Args:
        inferences: n of them.
        error: (n, l) mean squared error of the draft, normalized units.
        rater: Whose label the confidence predicts.
        seed: Of the bootstrap.

    Returns:
        None if the drafts were not rated.
    """
    answers = [one.answer for one in inferences]
    rated = [answer.confidence for answer in answers if answer.confidence is not None]
    if rater is None or not rated:
        return None
    known = [answer.variance for answer in answers if answer.variance is not None]
    variance = np.stack(known) if len(known) == len(rated) else None
    drafts = RatedDrafts(np.stack(rated), variance, error, _episodes(inferences))
    return {"label": rater.label, **rater_metrics(drafts, rater, seed)}


def _drafts(inferences: Sequence[DemoInference]) -> np.ndarray:
    return np.stack([one.draft.actions for one in inferences])


def _answers(inferences: Sequence[DemoInference]) -> np.ndarray:
    return np.stack([one.answer.actions for one in inferences])


def _demonstrated(inferences: Sequence[DemoInference]) -> np.ndarray:
    return np.stack([one.demonstrated for one in inferences])


def _episodes(inferences: Sequence[DemoInference]) -> np.ndarray:
    return np.array([one.episode for one in inferences])


def _moving(names: tuple[str, ...]) -> list[int]:
    return [i for i, name in enumerate(names) if name != GRIPPER]
