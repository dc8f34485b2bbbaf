"""Everything that decides a training run of the rater."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import (
    cache_option,
    decode_option,
    option,
    processes_option,
    seed_option,
    skip_broken_option,
    unseen_option,
)
from asyncvla_ros.model.rater_config import FORMER_LABELS, RATER_LABELS, SIGNALS
from asyncvla_ros.types import AsyncVLAError

# Drafts of an observation that are compared with each other.
COMPARED = 8


@dataclass(frozen=True)
class RaterSettings:
    """One training run; the help of each field says what it is."""

    data: tuple[Path, ...] = option(help="What the policy was trained on; repeatable.")
    checkpoint: Path = option(help="The trained policy.")
    out: Path = option(help="Receives the policy with its rater; a rerun continues.")
    label: str = option(
        "absolute",
        "absolute, per_step, relative as in the paper, or pairwise: drafts of an observation in their order.",
        choices=RATER_LABELS,
        former_choices=FORMER_LABELS,
    )
    drafts: int = option(
        0, "Drafts of each observation, from different noise on one pass; 0: 8 to be compared, else 1.", 0
    )
    draft_steps: int = option(
        0, "Euler steps of a draft, also of the policy that is written; 0: as the checkpoint says.", 0
    )
    reads: tuple[str, ...] = option(
        (),
        "Also: variance (while denoised), mean or medoid (distance to that of the drafts); repeatable.",
    )
    num_layers: int = option(2, "Decoder layers of the rater.", 1)
    threshold: float = option(0.5, "Actions rated below it are refined.", 0)
    doubtful: float = option(0.2, "Share of actions with an error above the label's scale.", 0)
    steps: int = option(600, "Optimizer steps.", 1)
    batch: int = option(64, "Observations per step, over all processes.", 1)
    lr: float = option(5e-4, "Peak learning rate.", 0)
    weight_decay: float = option(1e-2, "Of AdamW.", 0)
    unseen: bool = unseen_option()
    validation: float = option(1 / 3, "Share of those episodes that only measures.", 0)
    shift: int = option(4, "Images move by up to this many pixels each way.", 0)
    brightness: float = option(0.1, "Images are scaled by 1 +- this.", 0)
    seed: int = seed_option()
    save_every: int = option(100, "Steps between saved states.", 1)
    log_every: int = option(20, "Steps between reports.", 1)
    bf16: bool = option(True, "Compute in bfloat16.")
    processes: int = processes_option()
    cache: Path = cache_option()
    decode: str = decode_option("ahead")
    skip_broken: bool = skip_broken_option()

    def __post_init__(self) -> None:
        if not set(self.reads) <= set(SIGNALS) or len(set(self.reads)) < len(self.reads):
            raise AsyncVLAError(f"--reads is {', '.join(self.reads)}, choose of {SIGNALS}, each once")

    @property
    def drafts_of_each(self) -> int:
        """Drafts of each observation.

        Raises:
            AsyncVLAError: If a single one is asked for, and several are to be compared.
        """
        compared = self.label == "pairwise" or bool({"mean", "medoid"} & set(self.reads))
        if compared and self.drafts == 1:
            raise AsyncVLAError("--drafts is 1, but drafts are to be compared; give 2 or more, or 0 for 8")
        return self.drafts or (COMPARED if compared else 1)


# May change between a run and its continuation: none of them alters what is learned.
FREE = ("out", "save_every", "log_every", "cache", "processes", "decode")
