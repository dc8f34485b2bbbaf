"""Record of a policy's training data, so that later steps know which episodes it has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asyncvla_ros.types import AsyncVLAError, CheckpointError


@dataclass(frozen=True)
class DataRecord:
    """Training datasets in the given order, on which the choice of held-out episodes depends.

    Attributes:
        folders: Names of the given folders.
        episodes: Number of episodes of all of them.
        frames: Number of frames of each dataset in them.
        holdout: Held-out share of the episodes.
        datasets: Digest and episodes of each dataset; empty in an old checkpoint without them.
        before: Record of the policy from which training began; None if it began from scratch.
    """

    folders: tuple[str, ...]
    episodes: int
    frames: tuple[int, ...]
    holdout: float
    datasets: tuple[tuple[str, int], ...] = ()
    before: DataRecord | None = None

    @staticmethod
    def of_nothing() -> DataRecord:
        """Make the record of a policy that has seen no demonstration."""
        return DataRecord((), 0, (), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any], source: str) -> DataRecord:
        """Return the inverse of ``to_dict``; ``source`` names the file in errors.

        Raises:
            CheckpointError: If the values are no record.
        """
        try:
            return DataRecord(
                tuple(map(str, values["folders"])),
                int(values["episodes"]),
                tuple(map(int, values["frames"])),
                float(values["holdout"]),
                datasets=tuple(
                    (str(digest), int(episodes)) for digest, episodes in values.get("datasets", ())
                ),
                before=DataRecord.from_dict(before, source) if (before := values.get("before")) else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"{source} does not say what data was used: {error!r}") from error

    def same_episodes(self, other: DataRecord | None) -> bool:
        """Return whether both have the same episodes in the same order, whatever their folders are called."""
        if other is None:
            return False
        if self.datasets and other.datasets:
            return self.datasets == other.datasets
        return (self.episodes, self.frames) == (other.episodes, other.frames)

    def overlaps(self, other: DataRecord | None) -> bool:
        """Return whether the other record's training lineage includes any of these datasets, if known."""
        lineage = other.lineage() if other else ()
        return any(not self.first_episode().keys().isdisjoint(record.first_episode()) for record in lineage)

    def lineage(self) -> Iterator[DataRecord]:
        """Return this record, that of the policy from which training began, and so on."""
        yield self
        if self.before:
            yield from self.before.lineage()

    def first_episode(self) -> dict[str, int]:
        """Return the number of the first episode of each dataset, by digest."""
        counts = [episodes for _, episodes in self.datasets]
        return {digest: sum(counts[:i]) for i, (digest, _) in enumerate(self.datasets)}

    def __str__(self) -> str:
        if not self.episodes:
            return "no demonstrations"
        return (
            f"{self.episodes} episodes with {sum(self.frames)} frames in {len(self.frames)} datasets "
            f"({', '.join(self.folders)})"
        )


def held_out(trained_on: DataRecord | None, given: DataRecord) -> float:
    """Return the held-out share of ``given``, if ``given`` is the policy's training data.

    Raises:
        AsyncVLAError: If it is other data, whatever the folders are called, or if nothing was held out.
    """
    unseen = "or --unseen for data that trained nothing"
    if trained_on is None:
        raise AsyncVLAError(f"the checkpoint does not say what data trained it; use another, {unseen}")
    if not given.same_episodes(trained_on):
        raise AsyncVLAError(
            f"the policy was trained on {trained_on}, but the data given are {given}, so it is not known "
            f"what it has seen; give the same --data in the same order, {unseen}"
        )
    if not trained_on.holdout:
        raise AsyncVLAError(
            f"the policy was trained on all of the data, with --holdout 0; give others, {unseen}"
        )
    return trained_on.holdout
