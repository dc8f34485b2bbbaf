"""How close a policy is to the expert on demonstrations that it never saw, and whether its rater knows.

The policy infers as it does on the robot, one observation at a time, and its chunk is compared with the
actions that the expert took from there:

    error[i, l, d] = |chunk[i, l, d] - demonstrated[i, l, d]|    i: observation, l: step of the horizon
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from rich.progress import track

from asyncvla_ros.common.data_record import DataRecord
from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.data.contracts import require_contract
from asyncvla_ros.data.episodes import Episodes, load_episodes
from asyncvla_ros.data.mixture import Mixture, Robot
from asyncvla_ros.data.rows import blocks
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint, load_records, load_stats
from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.model.drafts import GRIPPER
from asyncvla_ros.policy import Policy
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.training.batches import Batches
from asyncvla_ros.training.demo_inference import infer_demos
from asyncvla_ros.training.demo_metrics import demo_metrics
from asyncvla_ros.training.demo_settings import DemoEvalSettings
from asyncvla_ros.training.drafts import Drafter
from asyncvla_ros.training.loop_gain import loop_gain
from asyncvla_ros.training.rated_drafts import rate_drafts
from asyncvla_ros.training.rater_settings import COMPARED, RaterSettings
from asyncvla_ros.training.within_observation import within_observation
from asyncvla_ros.types import AsyncVLAError


def _without_plan(asked: Strategy, own: Mapping[str, Any]) -> Strategy:
    """Return the complete strategy for observations that are asked one by one, with no plan before them."""
    if asked.handover not in (None, "switch"):
        raise AsyncVLAError(
            f"handover is {asked.handover!r}, but demonstrations have no plan in execution; "
            "measure it with `asyncvla eval libero`"
        )
    strategy = replace(asked.complete(own), handover="switch")
    if strategy.reads_previous:
        raise AsyncVLAError(
            f"choose is {strategy.choose!r}, but demonstrations have no plan in execution; choose another one"
        )
    return strategy


def evaluate_demos(settings: DemoEvalSettings) -> dict[str, Any]:
    """Compare a policy with demonstrations.

    Returns:
        JSON-ready: ``action_accuracy``, ``refined`` and ``calibration``, see ``demo_metrics``;
        ``within_observation`` (of several drafts of each observation, whatever the strategy), ``loop_gain``
        (None unless asked for), ``frames``, ``episodes``, ``action_space``, versions, settings, machine.

    Raises:
        AsyncVLAError: If data or checkpoint cannot be used, or do not belong together.
    """
    policy = Policy.from_checkpoint(settings.policy, settings.device, settings.threads)
    require_contract(settings.data, policy.features)
    config = policy.network.config
    episodes = load_episodes(
        settings.data, config.image_size, settings.cache, skip_broken=settings.skip_broken
    )
    frames = evaluation_frames(episodes, load_records(settings.policy), settings, policy.chunk_size)
    strategy = _without_plan(settings.strategy, config.strategy)
    asked = infer_demos(policy, episodes, frames, strategy, seed=settings.seed)
    inferences = list(track(asked, description="Comparing", total=len(frames), transient=True))
    names = policy.features.action_names
    stats = load_stats(settings.policy, policy.features)[1]
    # The network itself, whatever engine the policy has: it takes whole batches.
    base = load_checkpoint(settings.policy, settings.device)
    steps = strategy.denoise_steps or config.num_denoise_steps
    return {
        **demo_metrics(
            inferences, names, _gripper_middle(episodes, names), stats, rater=config.rater, seed=settings.seed
        ),
        "within_observation": _within_observation(base, settings, episodes, frames),
        "loop_gain": loop_gain(base, episodes, frames, steps, seed=settings.seed)
        if settings.loop_gain
        else None,
        "frames": len(frames),
        "episodes": len(np.unique(episodes.episode[frames])),
        "action_space": policy.features.action_space,
        **provenance(),
        "settings": {
            **{k: v for k, v in asdict(settings).items() if k not in ("data", "cache", "checkpoint")},
            "strategy": asdict(strategy),
            "data": [folder.name for folder in settings.data],
            "checkpoint": fingerprint(settings.policy),
        },
    }


def _within_observation(
    base: Checkpoint, settings: DemoEvalSettings, episodes: Episodes, frames: np.ndarray
) -> dict[str, Any] | None:
    """See ``training.within_observation``; by the network itself, all drafts of an observation at once."""
    rater = base.model.config.rater
    if rater is not None and "variance" in rater.reads and settings.strategy.denoise_steps == 1:
        return None  # drafts of one step have no variance that it could read
    robot = Robot("policy", base.features, base.state_stats, base.action_stats)
    batches = Batches(Mixture.of_one_robot(episodes, robot), base.model.config, base.tokenizer)
    drafter = Drafter(base, nullcontext, settings.strategy.denoise_steps)
    rated = rate_drafts(
        drafter, base.model, batches, frames, episode=episodes.episode, seed=settings.seed, count=COMPARED
    )
    return within_observation(rated, base.model.config.n_action_steps)


def evaluation_frames(
    episodes: Episodes,
    records: tuple[DataRecord | None, DataRecord | None],
    settings: DemoEvalSettings,
    length: int,
) -> np.ndarray:
    """Choose frames (n,) of episodes that trained neither policy nor rater, with a whole chunk from there.

    Args:
        episodes: The data.
        records: Of the data of the policy, and of its rater.
        settings: What to compare.
        length: Of a chunk.

    Raises:
        AsyncVLAError: If there are none, or it is not known which they are.
    """
    trained_on, rated_on = records
    frames = episodes.unseen_frames(settings.data, trained_on, unseen=settings.unseen)
    given = episodes.record(settings.data, 0)
    if given.same_episodes(rated_on):
        frames = frames[episodes.validation_mask(frames, RaterSettings.validation)]
    elif given.overlaps(rated_on):
        raise AsyncVLAError(
            f"the rater learned from {rated_on}; some of that is in the data given, {given}; give the same "
            "--data in the same order, or others"
        )
    frames = frames[frames + length - 1 <= episodes.last[frames]]
    if not len(frames):
        raise AsyncVLAError(
            f"none of {episodes.count} episodes trained neither policy nor rater and is as long "
            "as a chunk; expected more episodes, or --unseen for data that trained nothing"
        )
    rng = np.random.default_rng(settings.seed)
    return np.sort(rng.permutation(frames)[: settings.frames])


def _gripper_middle(episodes: Episodes, names: tuple[str, ...]) -> float | None:
    if GRIPPER not in names:
        return None
    dim = names.index(GRIPPER)
    column = np.concatenate([block[:, dim] for _, block in blocks(episodes.actions)])
    return float(column.min() + column.max()) / 2
