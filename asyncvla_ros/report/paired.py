"""Success of two strategies on the same episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncvla_ros.sim.evaluation.stats import mcnemar, paired_difference

#: Headings of ``PairedSuccess.cells``.
HEADINGS = ("solved", "gain (95 %, Bonett-Price)", "McNemar p")


@dataclass(frozen=True)
class PairedSuccess:
    """Success of a strategy and of its baseline on their common episodes.

    Attributes:
        solved: Numbers of episodes that strategy and baseline solved.
        pairs: Number of common episodes.
        gain: Success of the strategy minus that of the baseline, see ``paired_difference``.
        ci95: 95 % interval of the gain.
        p: p-value of McNemar's exact test.
    """

    solved: tuple[int, int]
    pairs: int
    gain: float
    ci95: tuple[float, float]
    p: float

    @staticmethod
    def of(baseline: Sequence[bool], strategy: Sequence[bool]) -> PairedSuccess:
        """Compare outcomes (n,) of the same episodes, in the same order, at least one."""
        gain, ci95 = paired_difference(baseline, strategy)
        solved = sum(strategy), sum(baseline)
        return PairedSuccess(solved, len(strategy), gain, ci95, p=mcnemar(baseline, strategy))

    @property
    def cells(self) -> tuple[str, str, str]:
        """Cells of a table, see ``HEADINGS``."""
        low, high = self.ci95
        return (
            f"{self.solved[0]} : {self.solved[1]} of {self.pairs}",
            f"{self.gain:+.1%} ({low:+.1%} to {high:+.1%})",
            f"{self.p:.3f}",
        )
