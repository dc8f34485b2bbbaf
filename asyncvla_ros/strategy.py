"""How a decision is made: how many drafts, what is generated again, how often, in how many steps."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.types import AsyncVLAError

MODES = ("afm", "sfm")
SELECTIONS = ("rater", "random", "variance")
# How a network is run, and how its backbone's weights are kept: ``model.engine``, ``model.quantize``.
ENGINES = ("plain", "onnx", "compiled", "graph")
WEIGHTS = ("checkpoint", "int8", "fp8")


@dataclass(frozen=True)
class Strategy:
    """How a policy decides; the default is the paper's: one draft, the rater's doubts generated again once.

    Attributes:
        mode: ``sfm`` keeps the synchronous draft; ``afm`` generates some of its actions again.
        select: Which ones (committed actions never):

            - ``rater``: confidence below ``threshold``; without a rater, none.
            - ``random``: as many as the rater would choose, drawn uniformly: the control of the choice.
            - ``variance``: estimates of the action varied by more than ``threshold`` over the denoising steps
              (``flow.denoising_variance``); costs nothing and needs no rater.
        threshold: Confidence in [0, 1], None for the checkpoint's; for ``variance`` an absolute variance in
            squared normalised action units, which must be given (``rater.json`` proposes one).
        rounds: Refinements at most; the result of each is judged again, and nothing to refine ends them.
        denoise_steps: Euler steps of a draft; None for the checkpoint's.
        refine_steps: Euler steps of a refinement; None for the checkpoint's.
        best_of: Drafts, of which the one with the highest mean confidence is taken; needs a rater if above 1.

    Raises:
        AsyncVLAError: If a value is outside of its range.
    """

    mode: str = "afm"
    select: str = "rater"
    threshold: float | None = None
    rounds: int = 1
    denoise_steps: int | None = None
    refine_steps: int | None = None
    best_of: int = 1

    def __post_init__(self) -> None:
        for name, choices in (("mode", MODES), ("select", SELECTIONS)):
            if getattr(self, name) not in choices:
                raise AsyncVLAError(f"{name} is {getattr(self, name)!r}, choose one of {choices}")
        for name in ("rounds", "denoise_steps", "refine_steps", "best_of"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise AsyncVLAError(f"{name} is {value}, expected at least 1")
        if self.select == "variance":
            if self.threshold is None or not self.threshold >= 0:
                raise AsyncVLAError(
                    f"threshold is {self.threshold}, select 'variance' expects a variance of at least 0; "
                    "rater.json proposes one"
                )
        elif self.threshold is not None and not 0 <= self.threshold <= 1:
            raise AsyncVLAError(f"threshold is {self.threshold}, expected a confidence from 0 to 1")
