"""Ranking quality of scores, and calibration of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of predictions: mean confidence, mean outcome and count."""

    confidence: float
    outcome: float
    count: int


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive scores above a negative; a tie counts half. NaN without both.

    Args:
        score: Any shape.
        positive: Bool, the same shape.
    """
    ranks, positive = rankdata(score.ravel()), positive.ravel()
    p, n = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * n)) if p and n else float("nan")


def reliability(confidence: np.ndarray, outcome: np.ndarray, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """Compute the reliability diagram in bins of equal width, without empty bins.

    Args:
        confidence: In [0, 1], any shape.
        outcome: What the confidence predicts, in [0, 1], the same shape; 0 or 1, or a soft label.
        bins: Number of bins.
    """
    confidence, outcome = confidence.ravel(), outcome.ravel()
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return tuple(
        ReliabilityBin(float(confidence[index == i].mean()), float(outcome[index == i].mean()), int(count))
        for i, count in enumerate(np.bincount(index, minlength=bins))
        if count
    )


def expected_calibration_error(diagram: Sequence[ReliabilityBin]) -> float:
    """Compute ECE = sum over bins of count / n * |mean confidence - mean outcome| (arXiv 1706.04599)."""
    total = sum(b.count for b in diagram)
    return sum(b.count / total * abs(b.confidence - b.outcome) for b in diagram)
