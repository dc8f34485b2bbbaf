"""Predicted beside what was done: errors by dof and step of the chunk, and what confidence says of them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.robot.contract import Dof, RobotContract
from asyncvla_ros.training.rater_metrics import confidence_metrics

# Within which a target counts as met, by unit; of a change, this share of the largest one that is permitted.
TOLERANCES = {"m": 0.01, "rad": 0.05, "normalized": 0.1}
CHANGE_SHARE = 0.1
RESAMPLES = 1000
# Blocks of time are drawn, not inferences: those that are near in time are alike.
MOST_BLOCKS, SHORTEST_BLOCK_NS = 400, 10**9


def tolerance(dof: Dof) -> float:
    """Return the error within which a predicted action counts as the one that was done [unit of the dof]."""
    if dof.is_delta:
        return CHANGE_SHARE * max(abs(dof.minimum), abs(dof.maximum))
    return TOLERANCES[dof.unit]


@dataclass
class _Block:
    """Sums over the inferences of a piece of time, each (l, d)."""

    errors: np.ndarray
    within: np.ndarray
    count: np.ndarray


class ReplayComparison:
    """Sums up errors, inference by inference; memory grows with the blocks, and by some bytes an action.

    Args:
        robot: Names, units and tolerances of the dofs.
        length: Actions of a chunk.
        duration_ns: Of the recording [ns].
        rater: Of the policy; None: it has none.

    Attributes:
        compared: Actions of which at least one dof was done.
    """

    def __init__(self, robot: RobotContract, length: int, duration_ns: int, rater: RaterConfig | None):
        self.compared = 0
        self._robot, self._length, self._rater = robot, length, rater
        self._tolerance: np.ndarray = np.array([tolerance(dof) for dof in robot.dofs])
        self._block_ns = max(SHORTEST_BLOCK_NS, duration_ns // MOST_BLOCKS)
        self._blocks: dict[int, _Block] = {}
        self._confidence, self._square = array("f"), array("f")

    def block(self, stamp_ns: int) -> int:
        """Return the number of the piece of time that contains ``stamp_ns`` [ns]."""
        return stamp_ns // self._block_ns

    def add(self, chunk: StampedChunk, done: np.ndarray, normalized_error: np.ndarray) -> float:
        """Compare a chunk with what was done.

        Args:
            chunk: Predicted.
            done: (l, d) [units of the contract], NaN where it is not known.
            normalized_error: (l, d) in the units in which the policy was trained.

        Returns:
            Mean error in tolerances; NaN if nothing of it is known.
        """
        error = np.abs(chunk.actions - done)
        known = np.isfinite(error)
        self.compared += int(known.any(axis=1).sum())
        shape = (self._length, len(self._robot.dofs))
        block = self._blocks.setdefault(
            self.block(chunk.stamp_ns), _Block(np.zeros(shape), np.zeros(shape), np.zeros(shape, int))
        )
        block.errors += np.where(known, error, 0.0)
        block.within += known & (np.where(known, error, np.inf) <= self._tolerance)
        block.count += known
        rows = known.all(axis=1)
        if chunk.confidence is not None and rows.all():
            square = np.mean(np.square(normalized_error), axis=1)
            self._confidence.frombytes(chunk.confidence.astype(np.float32).tobytes())
            self._square.frombytes(square.astype(np.float32).tobytes())
        return float(np.mean((error / self._tolerance)[known])) if known.any() else float("nan")

    def metrics(self, seed: int) -> dict[str, Any]:
        """Return errors and calibration.

        Returns:
            ``mae``, ``mae_ci95`` (percentile bootstrap over blocks of time), ``within_tolerance`` and
            ``tolerance`` by dof; ``mae_by_step`` by dof, one for each step of the chunk; None where nothing
            is known. ``confidence``: as of ``rater_metrics.confidence_metrics``; None without a rater, or
            with fewer than two chunks.
        """
        empty = np.zeros((1, self._length, len(self._robot.dofs)))
        blocks = [self._blocks[key] for key in sorted(self._blocks)]
        errors = np.stack([block.errors for block in blocks]) if blocks else empty
        within = np.stack([block.within for block in blocks]) if blocks else empty
        count = np.stack([block.count for block in blocks]) if blocks else empty
        return {
            "mae": self._by_dof(_ratio(errors.sum((0, 1)), count.sum((0, 1)))),
            "mae_ci95": self._intervals(errors.sum(1), count.sum(1), seed),
            "mae_by_step": self._by_dof(_ratio(errors.sum(0), count.sum(0)).T),
            "within_tolerance": self._by_dof(_ratio(within.sum((0, 1)), count.sum((0, 1)))),
            "tolerance": self._by_dof(self._tolerance),
            "units": {dof.name: f"{dof.unit}/step" if dof.is_delta else dof.unit for dof in self._robot.dofs},
            "blocks": {"n": len(blocks), "seconds": self._block_ns / 1e9},
            "confidence": self._calibration(),
        }

    def _by_dof(self, values: np.ndarray) -> dict[str, Any]:
        return {
            name: _plain(value) for name, value in zip(self._robot.dof_names, values.tolist(), strict=True)
        }

    def _intervals(self, errors: np.ndarray, count: np.ndarray, seed: int) -> dict[str, Any]:
        """Return 95 % intervals by dof, of (blocks, d) sums; None where fewer than two blocks have values."""
        rng = np.random.default_rng(seed)
        drawn = rng.integers(len(errors), size=(RESAMPLES, len(errors)))
        weights = np.apply_along_axis(np.bincount, 1, drawn, minlength=len(errors))
        means = _ratio(weights @ errors, weights @ count)
        intervals: dict[str, Any] = {}
        for column, name in enumerate(self._robot.dof_names):
            known = means[np.isfinite(means[:, column]), column]
            enough = (count[:, column] > 0).sum() > 1
            intervals[name] = np.percentile(known, (2.5, 97.5)).tolist() if enough else None
        return intervals

    def _calibration(self) -> dict[str, Any] | None:
        if self._rater is None or len(self._confidence) < 2 * self._length:
            return None
        confidence = np.array(self._confidence).reshape(-1, self._length)
        error = np.array(self._square).reshape(-1, self._length)
        # Without any error there is no correlation.
        with np.errstate(invalid="ignore"):
            metrics = confidence_metrics(confidence, error, self._rater)
        return {**{key: _plain(value) for key, value in metrics.items()}, "mean": float(confidence.mean())}


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=np.asarray(count) > 0)


def _plain(value: Any) -> Any:
    """Replace what is no number by None, also in nested lists: JSON has no NaN."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
