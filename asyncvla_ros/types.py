"""Values that cross module borders: what a policy sees, what it answers, what it was trained on.

Array letters used throughout: ``b`` batch, ``l`` chunk length (actions in a chunk), ``d`` action
dims, ``s`` state dims, ``h``/``w`` image height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


class AsyncVLAError(Exception):
    """Base of every error this package raises on purpose; the message is meant for the user."""


class ContractError(AsyncVLAError):
    """A robot, checkpoint or observation does not offer what its counterpart expects."""


class RunError(AsyncVLAError):
    """Something went wrong while it ran, with input that was fine."""


class CheckpointError(AsyncVLAError):
    """A checkpoint is missing, incomplete, corrupt or of another shape than it declares."""


@dataclass(frozen=True)
class Observation:
    """What the policy sees at one instant.

    Attributes:
        images: Camera key to an RGB image, (h, w, 3) uint8, upright.
        state: Proprioception in the order of ``FeatureContract.state_names``, (s,) float32.
        instruction: The task in natural language.
        stamp_ns: Acquisition time of the *oldest* part [ns, node clock].
    """

    images: Mapping[str, np.ndarray]
    state: np.ndarray
    instruction: str
    stamp_ns: int = 0


@dataclass(frozen=True)
class StageTimes:
    """Wall-clock duration of each inference stage [ms]; a stage that did not run took 0."""

    prefix: float
    sfm: float
    rater: float
    afm: float
    total: float


@dataclass(frozen=True)
class Previous:
    """What older chunks would do from an observation on; the place of an action counts from there.

    Attributes:
        actions: (m, d) of the plan that is in execution, due at the places 0 to m - 1, in the units of the
            checkpoint.
        delay: So many of them will have been executed when the answer arrives, as far as one can tell.
        drafts: Each (k, d): what is left of every older chunk as it was generated, before any ensembling;
            the newest last.
    """

    actions: np.ndarray
    delay: int
    drafts: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class ActionChunk:
    """Actions for the next ``l`` control steps; action ``i`` is due at ``stamp + i * step``.

    Attributes:
        actions: (l, d) float32, in the units of the checkpoint's feature contract.
        confidence: (l,) float32 in (0, 1) from the rater, of the synchronous draft; None if unrated.
        refined: (l,) bool, True where asynchronous flow matching generated the action again.
        committed: Leading actions kept from the plan before.
        times: Duration of each inference stage.
        variance: (l,) float32 in squared normalized units. Of several drafts their mean squared distance to
            the chosen one (``drafts.spread``); of one that of its estimates while it was denoised
            (``flow.denoising_variance``), None unless the strategy or its rater reads it.
        kept: (l,) bool, True where an action is one of the plan before; None: the committed ones.
        draft: (l, d) what was generated, where ``actions`` are an ensemble with older chunks; else None.
        surprise: How foreign the observation is to the policy, see ``model.monitor``: 1 is as foreign as one
            in twenty of those it was fitted on; None without a monitor.
        disagreement: Mean squared distance to the plan before where they overlap and nothing was kept of it
            [normalized units], see ``observe.episode_monitor``; None without such a plan.
    """

    actions: np.ndarray
    confidence: np.ndarray | None
    refined: np.ndarray
    committed: int
    times: StageTimes
    variance: np.ndarray | None = None
    kept: np.ndarray | None = None
    draft: np.ndarray | None = None
    surprise: float | None = None
    disagreement: float | None = None


@dataclass(frozen=True)
class CameraFeature:
    """One camera a checkpoint was trained with; ``height`` and ``width`` in pixels."""

    key: str
    height: int
    width: int


@dataclass(frozen=True)
class FeatureContract:
    """What a checkpoint expects of a robot and promises in return.

    Attributes:
        cameras: In the order in which the policy reads them.
        state_names: One name per state dim, in order.
        action_names: One name per action dim, in order.
        action_space: ``delta_ee_pose``, ``ee_pose``, ``joint_position`` or ``delta_joint_position``.
        control_hz: Rate at which consecutive actions of a chunk are due [Hz].
        conventions: What the training data's values mean where names do not say it, for a simulator; see
            ``sim/libero/conventions.py``. Contracts that differ in it alone are equal.
    """

    cameras: tuple[CameraFeature, ...]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    action_space: str
    control_hz: float
    conventions: Mapping[str, str] = field(default_factory=dict, compare=False)
