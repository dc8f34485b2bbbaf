"""Merging the results of an evaluation's shards."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asyncvla_ros.common.same_settings import require_same_settings
from asyncvla_ros.common.shard import SHARD_EPISODES, WHOLE, Shard
from asyncvla_ros.report.results import Source
from asyncvla_ros.sim.evaluation.episode_log import frozen
from asyncvla_ros.sim.evaluation.results import EpisodeResult, metrics_of
from asyncvla_ros.sim.simpler.bridge import results as bridge
from asyncvla_ros.types import AsyncVLAError

#: Settings that may differ between the shards of one evaluation.
_FREE = ("shard", "workers")

#: Computes metrics of all episodes, given as in the files and in the order of the shards.
Metrics = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]


def libero_metrics(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compute metrics of LIBERO episodes, in an evaluation's order: by task and initial state."""
    made = [EpisodeResult(**frozen(values)) for values in episodes]
    return metrics_of(sorted(made, key=lambda episode: (episode.task, episode.init)))


def bridge_metrics(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compute metrics of Bridge episodes, in the order of the requested tasks."""
    return bridge.metrics_of(
        [
            bridge.BridgeEpisode(**{**values, "inference_ms": tuple(values["inference_ms"])})
            for values in episodes
        ]
    )


def merge_shards(evaluations: Sequence[Source], metrics: Metrics) -> list[Source]:
    """Replace the shards of each evaluation by one source.

    Args:
        evaluations: Evaluations in one simulator.
        metrics: Computes the metrics of its episodes.

    Raises:
        AsyncVLAError: a shard or an episode is missing or occurs twice.
    """
    merged = []
    shared_out = [source for source in evaluations if _shard(source) != WHOLE]
    for source in evaluations:
        if source not in shared_out:
            merged.append(source)
            continue
        shards = [other for other in shared_out if _of_one_evaluation(source, other)]
        if source == shards[0]:
            _require_complete(shards, shared_out)
            merged.append(_merge(shards, metrics))
    return merged


def _shard(source: Source) -> Shard:
    given = source.values["settings"].get("shard")
    return Shard(**given) if given else WHOLE


def _fixed(source: Source) -> dict[str, Any]:
    """Return the settings that the shards of one evaluation share."""
    settings: Mapping[str, Any] = source.values["settings"]
    return {key: value for key, value in settings.items() if key not in _FREE}


def _of_one_evaluation(one: Source, other: Source) -> bool:
    return _fixed(one) == _fixed(other) and _shard(one).count == _shard(other).count


def _require_complete(shards: Sequence[Source], all_shards: Sequence[Source]) -> None:
    by_index: dict[int, Source] = {}
    for source in shards:
        if twin := by_index.get(_shard(source).index):
            raise AsyncVLAError(
                f"{twin.name} and {source.name} are both shard {_shard(source)} of one evaluation; keep one"
            )
        by_index[_shard(source).index] = source
    first = shards[0]
    count = _shard(first).count
    missing = [index for index in range(1, count + 1) if index not in by_index]
    if not missing:
        return
    for other in all_shards:
        if other not in shards and _shard(other).count == count and _shard(other).index in missing:
            what = f"{other.name} is shard {_shard(other)}, but of another evaluation than {first.name}"
            require_same_settings(_fixed(other), _fixed(first), what, "run it with the same settings")
    raise AsyncVLAError(
        f"{', '.join(source.name for source in shards)}: "
        f"shard {', '.join(f'{index}/{count}' for index in missing)} is missing; run it, with the same other "
        "options, or move the others elsewhere"
    )


def _merge(shards: Sequence[Source], metrics: Metrics) -> Source:
    shards = sorted(shards, key=lambda source: _shard(source).index)
    owner: dict[tuple[Any, int], Source] = {}
    episodes: list[Mapping[str, Any]] = []
    for source in shards:
        if SHARD_EPISODES not in source.values:
            raise AsyncVLAError(f"{source.name} is shard {_shard(source)}, but has no {SHARD_EPISODES}")
        for episode in source.values[SHARD_EPISODES]:
            key = (episode["task"], episode["init"])
            if other := owner.get(key):
                raise AsyncVLAError(
                    f"{other.name} and {source.name} both have task {key[0]}, initial state {key[1]}; "
                    "shards share no episodes"
                )
            owner[key] = source
            episodes.append(episode)
    name, settings = f"{shards[0].name} to {shards[-1].name}", _fixed(shards[0])
    for task, init in itertools.product(settings["tasks"], settings["inits"]):
        if (task, init) not in owner:
            raise AsyncVLAError(f"{name}: none has task {task}, initial state {init}; run them again")
    values = {key: value for key, value in shards[0].values.items() if key != SHARD_EPISODES}
    return Source(name, values | metrics(episodes) | {"settings": settings})
