"""The strategy of inference: number of drafts, refinement, and handover from the old plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from asyncvla_ros.common.options import option
from asyncvla_ros.types import AsyncVLAError

MODES = ("afm", "sfm")
SELECTIONS = ("rater", "random", "variance")
CHOICES = ("rater", "mean", "medoid", "coherent")
HANDOVERS = ("switch", "ensemble", "guided", "commit", "keep", "keep_random", "keep_all")
# Handovers that keep actions by their confidence.
RATING = ("keep", "keep_random")
JACOBIANS = ("identity", "full")
# Engines of a network and types of its backbone's weights: ``model.engine``, ``model.quantize``.
ENGINES = ("plain", "onnx", "compiled", "graph")
WEIGHTS = ("checkpoint", "int8", "fp8")
# Fields that are counts.
COUNTS = ("rounds", "denoise_steps", "refine_steps", "best_of")


@dataclass(frozen=True)
class Strategy:
    """Strategy of inference. None leaves a field to the checkpoint, see ``complete``.

    Attributes:
        mode: ``sfm`` keeps the synchronous draft, with its confidence if there is a rater that can tell it;
            ``afm`` refines some of its actions.
        select: Which actions to refine (never kept ones):

            - ``rater``: confidence below ``threshold``; without a rater, none.
            - ``random``: as many as the rater would choose, drawn uniformly, as a control.
            - ``variance``: variance of the action's estimates over the denoising steps above ``threshold``
              (``flow.denoising_variance``); costs nothing and needs no rater.
        threshold: Confidence in [0, 1], None for the rater's own; for ``variance`` an absolute variance in
            squared normalized action units, which must be given (``rater.json`` proposes one).
        rounds: Maximum refinement rounds; each result is rated again, and no action to refine ends them.
        denoise_steps: Euler steps of a draft.
        refine_steps: Euler steps of a refinement.
        best_of: Number of drafts, from different noise, with one pass over the observation.
        choose: How several drafts become one:

            - ``rater``: the one with the highest mean confidence; needs a rater.
            - ``mean``: their mean; the gripper's is that of the majority. Every second draft has the opposite
              noise of the one before (antithetic variates).
            - ``medoid``: the one that is nearest to all others.
            - ``coherent``: the one that is nearest to the old plan (BID, arXiv 2408.17355).
        handover: How a chunk follows the plan in execution at its observation:

            - ``switch``: the new chunk replaces the plan when it arrives.
            - ``ensemble``: mean over all plans, older ones count more (ACT, arXiv 2304.13705).
            - ``guided``: denoising is pulled towards the old plan (real-time chunking, arXiv 2506.07339).
            - ``commit``: actions that will be executed before the chunk arrives are kept as its context.
            - ``keep``: in addition, later actions of the old plan with high confidence.
            - ``keep_random``: as many later ones, drawn uniformly, as a control.
            - ``keep_all``: the whole old plan, as a control.
        jacobian: For ``guided``: ``identity`` (no backward pass) or ``full``.
        guidance: For ``guided``: largest weight of the pull.

    Raises:
        AsyncVLAError: If a value is outside of its range.
    """

    mode: str | None = option(
        None, "afm (refine some actions of the draft) or sfm (the draft alone).", choices=MODES
    )
    select: str | None = option(
        None,
        "What afm refines: actions with low confidence, as many at random, or what varied while denoised.",
        choices=SELECTIONS,
    )
    threshold: float | None = option(
        None, "Generate again below this confidence or, with select variance, above this variance."
    )
    rounds: int | None = option(None, "Refinements at most.", minimum=1)
    denoise_steps: int | None = option(None, "Euler steps of a draft.", minimum=1)
    refine_steps: int | None = option(None, "Euler steps of a refinement.", minimum=1)
    best_of: int | None = option(None, "Drafts, of which one is made.", minimum=1)
    choose: str | None = option(
        None,
        "Of several drafts: the rater's favorite, their mean, the most central, the nearest to the old plan.",
        choices=CHOICES,
    )
    handover: str | None = option(
        None, "How a chunk follows the plan in execution; docs/decisions.md explains them.", choices=HANDOVERS
    )
    jacobian: str | None = option(
        None, "Of handover guided: identity (no backward pass) or full.", choices=JACOBIANS
    )
    guidance: float | None = option(None, "Of handover guided: its largest weight.", minimum=0)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value in choices):
                raise AsyncVLAError(f"{name} is {value!r}, choose one of {choices}")
        for name in COUNTS:
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise AsyncVLAError(f"{name} is {value!r}, expected at least 1")
        if self.guidance is not None and not _is_at_least_0(self.guidance):
            raise AsyncVLAError(f"guidance is {self.guidance!r}, expected a weight of at least 0")
        if self.select == "variance":
            if not _is_at_least_0(self.threshold):
                raise AsyncVLAError(
                    f"threshold is {self.threshold!r}, select 'variance' expects a variance of at least 0; "
                    "rater.json proposes one"
                )
        elif self.threshold is not None and not (_is_at_least_0(self.threshold) and self.threshold <= 1):
            raise AsyncVLAError(f"threshold is {self.threshold!r}, expected a confidence from 0 to 1")

    @property
    def reads_previous(self) -> bool:
        """Whether a complete strategy reads the plan in execution."""
        return self.handover != "switch" or (self.best_of != 1 and self.choose == "coherent")

    @property
    def needs_gradient(self) -> bool:
        """Whether a complete strategy goes back through the network, which only engine ``plain`` can."""
        return self.handover == "guided" and self.jacobian == "full"

    def over(self, defaults: Mapping[str, Any]) -> Strategy:
        """Fill open fields with defaults, given by name.

        Raises:
            AsyncVLAError: If the two do not fit together.
        """
        own = {name: value for name, value in asdict(self).items() if value is not None}
        below = {name: value for name, value in defaults.items() if value is not None}
        selects = below.get("select"), own.get("select", below.get("select"))
        if "variance" in selects and selects[0] != selects[1]:
            # The default threshold is on another quantity.
            below.pop("threshold", None)
        return Strategy(**{**below, **own})

    def complete(self, defaults: Mapping[str, Any]) -> Strategy:
        """Fill open fields with the defaults of a checkpoint, then of the paper; see ``over``."""
        return self.over({**_PAPER, **defaults})


def strategy_of_parameters(values: Mapping[str, Any]) -> Strategy:
    """Make a strategy from policy_node's parameters; empty texts, counts of 0 and numbers below 0 mean None.

    Args:
        values: Parameters by name; all but the fields of ``Strategy`` are ignored, except ``commit``, which
        older recordings and parameter files have.

    Raises:
        AsyncVLAError: If they do not fit together.
    """
    given = {field.name: values[field.name] for field in fields(Strategy) if field.name in values}
    if values.get("commit") and not given.get("handover"):
        given["handover"] = "commit"
    return Strategy(**{name: v for name, v in given.items() if (v >= 0 if isinstance(v, float) else bool(v))})


def _is_at_least_0(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf


_CHOICES = {
    "mode": MODES,
    "select": SELECTIONS,
    "choose": CHOICES,
    "handover": HANDOVERS,
    "jacobian": JACOBIANS,
}
# The paper's strategy: one draft, one refinement by the rater (arXiv 2511.14148); steps are the network's.
_PAPER: dict[str, Any] = {
    "mode": "afm",
    "select": "rater",
    "rounds": 1,
    "best_of": 1,
    "choose": "rater",
    "handover": "switch",
    "jacobian": "identity",
    "guidance": 5.0,
}
