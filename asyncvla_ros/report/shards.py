"""Results of the shards of one evaluation as the result of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncvla_ros.common.same_settings import require_same_settings
from asyncvla_ros.common.shard import WHOLE, Shard
from asyncvla_ros.report.results import Source
from asyncvla_ros.sim.evaluation.results import SHARD_EPISODES, Episode, figures_of
from asyncvla_ros.types import AsyncVLAError

#: Settings that may differ between the shards of one evaluation.
_FREE = ("shard", "workers")


def merge_shards(evaluations: Sequence[Source]) -> list[Source]:
    """Evaluations, with one source in place of the shards of each evaluation that was shared out.

    Raises:
        AsyncVLAError: a shard is missing or there twice, or its episodes are.
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
            merged.append(_merge(shards))
    return merged


def _shard(source: Source) -> Shard:
    given = source.values["settings"].get("shard")
    return Shard(**given) if given else WHOLE


def _fixed(source: Source) -> dict[str, Any]:
    """What the shards of one evaluation have in common."""
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


def _merge(shards: Sequence[Source]) -> Source:
    shards = sorted(shards, key=lambda source: _shard(source).index)
    owner: dict[tuple[int, int], Source] = {}
    episodes = []
    for source in shards:
        if SHARD_EPISODES not in source.values:
            raise AsyncVLAError(f"{source.name} is shard {_shard(source)}, but has no {SHARD_EPISODES}")
        for values in source.values[SHARD_EPISODES]:
            episode = Episode(**{**values, "tick_ms": tuple(values["tick_ms"])})
            if other := owner.get((episode.task, episode.init)):
                raise AsyncVLAError(
                    f"{other.name} and {source.name} both have task {episode.task}, initial state "
                    f"{episode.init}; shards share no episodes"
                )
            owner[episode.task, episode.init] = source
            episodes.append(episode)
    episodes.sort(key=lambda episode: (episode.task, episode.init))
    values = {k: v for k, v in shards[0].values.items() if k != SHARD_EPISODES} | figures_of(episodes)
    return Source(f"{shards[0].name} to {shards[-1].name}", values | {"settings": _fixed(shards[0])})
