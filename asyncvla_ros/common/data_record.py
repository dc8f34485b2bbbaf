"""Which data trained a policy, so that later steps can tell what it has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asyncvla_ros.types import AsyncVLAError, CheckpointError


@dataclass(frozen=True)
class DataRecord:
    """Datasets in the order in which they were given: which episodes are held out depends on it.

    Attributes:
        folders: Names of the folders given.
        episodes: Of all of them.
        frames: Of each dataset in them.
        holdout: Share of the episodes that was held out.
        datasets: Digest of each dataset and its episodes; empty in a checkpoint from before they were noted.
        before: What trained the policy with which training began; None if it began from scratch.
    """

    folders: tuple[str, ...]
    episodes: int
    frames: tuple[int, ...]
    holdout: float
    datasets: tuple[tuple[str, int], ...] = ()
    before: DataRecord | None = None

    @staticmethod
    def of_nothing() -> DataRecord:
        """Of a policy that has seen no demonstration yet."""
        return DataRecord((), 0, (), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any], source: str) -> DataRecord:
        """The inverse of ``to_dict``; ``source`` names the file in errors.

        Raises:
            CheckpointError: If it is no record.
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

    def is_of(self, other: DataRecord | None) -> bool:
        """Whether both are of the same episodes in the same order, whatever the folders are called."""
        if other is None:
            return False
        if self.datasets and other.datasets:
            return self.datasets == other.datasets
        return (self.episodes, self.frames) == (other.episodes, other.frames)

    def shares(self, other: DataRecord | None) -> bool:
        """Whether a dataset of these trained the policy of the other ones, as far as is known."""
        lineage = other.lineage() if other else ()
        return any(not self.firsts().keys().isdisjoint(record.firsts()) for record in lineage)

    def lineage(self) -> Iterator[DataRecord]:
        """These data, what trained the policy with which training began, and so on."""
        yield self
        if self.before:
            yield from self.before.lineage()

    def firsts(self) -> dict[str, int]:
        """Number of the first episode of each dataset, by digest."""
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
    """The share of ``given`` that a policy has not seen, if it is what the policy was trained on.

    Raises:
        AsyncVLAError: If it is not, whatever the folders are called, or if nothing was held out.
    """
    fresh = "or --fresh for data that trained nothing"
    if trained_on is None:
        raise AsyncVLAError(f"the checkpoint does not say what data trained it; use another, {fresh}")
    if not given.is_of(trained_on):
        raise AsyncVLAError(
            f"the policy was trained on {trained_on}, but the data given are {given}, so it is not known "
            f"what it has seen; give the same --data in the same order, {fresh}"
        )
    if not trained_on.holdout:
        raise AsyncVLAError(
            f"the policy was trained on all of the data, with --holdout 0; give others, {fresh}"
        )
    return trained_on.holdout
