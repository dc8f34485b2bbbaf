"""Values that cross module borders: observations, chunks of actions, feature contracts.

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
    """A failure at run time, with valid input."""


class CheckpointError(AsyncVLAError):
    """A checkpoint is missing, incomplete, corrupt or has another shape than it declares."""


@dataclass(frozen=True)
class Observation:
    """The policy's input at one time.

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


#: Keys of stages in files and messages, and their names here.
STAGE_KEYS = {"prefix": "prefix", "sfm": "draft", "rater": "rate", "afm": "refine", "total": "total"}


@dataclass(frozen=True)
class StageTimes:
    """Wall-clock duration of each stage of inference [ms]; 0 for a stage that did not run."""

    prefix: float
    draft: float
    rate: float
    refine: float
    total: float

    def by_key(self) -> dict[str, float]:
        """Return the times by the keys of files and messages, see ``STAGE_KEYS``."""
        return {key: getattr(self, name) for key, name in STAGE_KEYS.items()}

    @staticmethod
    def of_keys(times: Mapping[str, float]) -> StageTimes:
        """Read what ``by_key`` returned; a stage that is not there took 0."""
        return StageTimes(**{name: times.get(key, 0.0) for key, name in STAGE_KEYS.items()})


@dataclass(frozen=True)
class Previous:
    """The plan of older chunks from an observation on; places of actions count from there.

    Attributes:
        actions: (m, d) of the plan that is in execution, due at the places 0 to m - 1, in the units of the
            checkpoint.
        delay: Expected number of them to be executed before the answer arrives.
        drafts: Each (k, d): rest of an older chunk as generated, before any ensembling; the newest last.
    """

    actions: np.ndarray
    delay: int
    drafts: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class ActionChunk:
    """Actions for the next ``l`` control steps, the first one due when the observation was made.

    Attributes:
        actions: (l, d) float32, in the units of the checkpoint's feature contract.
        confidence: (l,) float32 in (0, 1) from the rater, of the synchronous draft; None if unrated.
        refined: (l,) bool, True where asynchronous flow matching generated the action again.
        n_frozen: Number of leading actions kept from the previous plan.
        times: Duration of each stage of inference.
        variance: (l,) float32 in squared normalized units: of several drafts their mean squared distance to
        the chosen one (``drafts.spread``); of one draft the variance of its estimates during denoising
        (``flow.denoising_variance``). None unless the strategy or its rater reads it.
        kept: (l,) bool, True where an action is kept from the previous plan; None: the frozen prefix.
        draft: (l, d) generated actions, where ``actions`` are an ensemble with older chunks; else None.
        surprise: Distance of the observation from the training data, see ``model.monitor``; one in twenty
        frames with which it was fitted exceeds 1. None without a monitor.
        disagreement: Mean squared distance to the previous plan [normalized units], where they overlap and
        nothing was kept; see ``observe.episode_monitor``. None without such a plan.
        continues: Whether it was made of the previous plan, whose control steps it has then.
    """

    actions: np.ndarray
    confidence: np.ndarray | None
    refined: np.ndarray
    n_frozen: int
    times: StageTimes
    variance: np.ndarray | None = None
    kept: np.ndarray | None = None
    draft: np.ndarray | None = None
    surprise: float | None = None
    disagreement: float | None = None
    continues: bool = False


@dataclass(frozen=True)
class CameraFeature:
    """One camera of a checkpoint; ``height`` and ``width`` in [px]."""

    key: str
    height: int
    width: int


@dataclass(frozen=True)
class FeatureContract:
    """What a checkpoint expects of a robot, and what its actions are.

    Attributes:
        cameras: Cameras in the policy's order.
        state_names: One name per state dim, in order.
        action_names: One name per action dim, in order.
        action_space: ``delta_ee_pose``, ``ee_pose``, ``joint_position`` or ``delta_joint_position``.
        action_hz: Rate at which consecutive actions of a chunk are due [Hz].
        conventions: Meaning of the training data's values for a simulator, beyond names; see
        ``sim/libero/conventions.py``. Contracts that differ only in it are equal.
    """

    cameras: tuple[CameraFeature, ...]
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    action_space: str
    action_hz: float
    conventions: Mapping[str, str] = field(default_factory=dict, compare=False)
