"""Shape of a rater, and the label it has learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncvla_ros.model.config_checks import require_count, require_known
from asyncvla_ros.types import CheckpointError

RATER_LABELS = ("absolute", "per_step", "relative", "pairwise")
# Label by its retired name.
FORMER_LABELS = {"position": "per_step"}
# Signals that a rater may read beside a draft, see ``model.signals``.
SIGNALS = ("variance", "mean", "medoid")


@dataclass(frozen=True)
class RaterConfig:
    """The confidence rater: decoder layers of the backbone's width with full attention.

    Attributes:
        num_layers: Decoder layers.
        label: One of ``RATER_LABELS``, see ``model.rater``.
        error_scale: Mean squared error at which the label is 0.5 (normalized action units): one number for
            ``absolute`` and ``pairwise``, one for each place in the chunk for ``per_step``, unused by
            ``relative``.
        threshold: Confidence below which actions are refined.
        reads: Which of ``SIGNALS`` of each action it also reads; none in the paper.
    """

    num_layers: int = 2
    label: str = "absolute"
    error_scale: float | tuple[float, ...] = 0.1
    threshold: float = 0.5
    reads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise CheckpointError(f"threshold is {self.threshold!r}, expected a confidence from 0 to 1")
        if self.label not in RATER_LABELS:
            raise CheckpointError(f"the rater's label is {self.label!r}, choose one of {RATER_LABELS}")
        require_count("the rater's num_layers", self.num_layers)
        reads = self.reads
        if not isinstance(reads, tuple) or not set(reads) <= set(SIGNALS) or len(set(reads)) < len(reads):
            raise CheckpointError(f"the rater reads {reads!r}, choose of {SIGNALS}, each once")
        scales = self.error_scale if isinstance(self.error_scale, tuple) else (self.error_scale,)
        if not scales or not all(isinstance(scale, int | float) and 0 < scale < math.inf for scale in scales):
            raise CheckpointError(
                f"the rater's error_scale is {self.error_scale!r}, expected numbers above 0"
            )

    @property
    def reads_variance(self) -> bool:
        """Whether it reads each action's ``flow.denoising_variance``."""
        return "variance" in self.reads

    @property
    def compares(self) -> bool:
        """Whether it compares each action with the other drafts of its observation."""
        return "mean" in self.reads or "medoid" in self.reads

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> RaterConfig:
        """Parse values of a config.json, also those of retired names.

        Raises:
            CheckpointError: If a key is unknown, or a value impossible.
        """
        values = dict(values) if isinstance(values, Mapping) else values
        if isinstance(values, dict) and "reads_variance" in values:
            values["reads"] = ["variance"] if values.pop("reads_variance") else []
        require_known(values, RaterConfig, "the rater in config.json")
        if isinstance(label := values.get("label"), str):
            values["label"] = FORMER_LABELS.get(label, label)
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return RaterConfig(**{**values, **lists})
