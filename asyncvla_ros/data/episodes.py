"""Demonstrations of LeRobot v3 datasets, frame by frame, and their split by episodes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from asyncvla_ros.common.data_record import DataRecord, held_out
from asyncvla_ros.data.columns import Columns, load_columns
from asyncvla_ros.data.dataset import dataset_info
from asyncvla_ros.data.frames import DECODE, ConcatenatedImages, ImageArray, decoded_images, lazy_images
from asyncvla_ros.data.rows import Column, Rows, blocks
from asyncvla_ros.data.spec import DatasetSpec, dataset_specs
from asyncvla_ros.types import AsyncVLAError

#: Tolerance of a share's reciprocal: 0.33 is a third.
_HOLDOUT_TOLERANCE = 0.05


@dataclass(frozen=True)
class Episodes:
    """Demonstrations, frame by frame; n frames in all.

    Attributes:
        images: One image per frame and camera.
        state: (n, s) float32, physical units; padded with 0 to the widest dataset.
        actions: (n, d) float32, physical units, padded likewise.
        privileged: (n, k) float32 simulator quantities for auxiliary losses, or None.
        executed: (n, d) float32 actions that were executed instead; None unless all datasets have them.
        episode: (n,) running episode number over all datasets.
        last: (n,) index of the last frame of the same episode.
        instruction: (n,) index into ``instructions``.
        instructions: Distinct task descriptions.
        datasets: Per dataset the digest of states and actions, and the number of episodes.
    """

    images: ConcatenatedImages
    state: Column
    actions: Column
    privileged: Column | None
    episode: Column
    last: Column
    instruction: Column
    instructions: tuple[str, ...]
    datasets: tuple[tuple[str, int], ...] = ()
    executed: Column | None = None

    @property
    def count(self) -> int:
        """One more than the highest running episode number."""
        return int(self.episode[len(self.episode) - 1]) + 1

    def record(self, folders: Sequence[Path], holdout: float) -> DataRecord:
        """Return the record of these episodes, read from ``folders``, for later steps."""
        names = tuple(folder.resolve().name for folder in folders)
        return DataRecord(names, self.count, self.images.lengths, holdout, datasets=self.datasets)

    def split(self, holdout: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the frame indices of training and of held-out episodes; every k-th episode is held out.

        Raises:
            AsyncVLAError: If the share is none of 0, 1/2, 1/3, ..., or so small that nothing is held out, or
            a dataset occurs twice, so that an episode would be in both parts.
        """
        every = round(1 / holdout) if 0 < holdout <= 0.5 else 0
        if holdout and (every == 0 or abs(every * holdout - 1) > _HOLDOUT_TOLERANCE):
            raise AsyncVLAError(
                f"holdout is {holdout}, expected 0, or one episode in 2, 3, 4, ...: 0.5, 0.33, 0.25, ..."
            )
        total = self.count
        if every and len({digest for digest, _ in self.datasets}) < len(self.datasets):
            raise AsyncVLAError(
                "the same dataset is given twice, so episodes that are held out would be trained on; give it "
                "once, with `weight: 2` in a data.yaml"
            )
        if every > total:
            raise AsyncVLAError(
                f"holdout {holdout} holds out none of {total} episodes; collect more, or pass "
                "--holdout 0 (no rater then, and no unseen episodes to measure on) or a larger share"
            )
        train, held = [], []
        for start, episode in blocks(self.episode):
            is_held = (episode % every == every - 1) if every else np.zeros(len(episode), bool)
            train.append(start + np.flatnonzero(~is_held))
            held.append(start + np.flatnonzero(is_held))
        return np.concatenate(train), np.concatenate(held)

    def unseen_frames(
        self, folders: Sequence[Path], trained_on: DataRecord | None, *, unseen: bool
    ) -> np.ndarray:
        """Return the frames (b,) that a policy has not seen: its held-out episodes, without single views.

        Args:
            folders: Folders of these episodes.
            trained_on: Record of the policy's training data.
            unseen: Whether no episode here was used in training, so that all frames are unseen.

        Raises:
            AsyncVLAError: If the held-out episodes are unknown, or the data is not unseen.
        """
        given = self.record(folders, 0)
        if not unseen:
            frames = self.split(held_out(trained_on, given))[1]
            return frames[~self.is_view(frames)]
        if given.same_episodes(trained_on):
            raise AsyncVLAError(f"the policy was trained on {given}: they are not unseen; leave --unseen out")
        if given.overlaps(trained_on):
            raise AsyncVLAError(
                f"the policy was trained on {trained_on}; some of that is in the data given, {given}; give "
                "others, that are unseen"
            )
        frames = np.arange(len(self.episode))
        return frames[~self.is_view(frames)]

    def is_view(self, frames: np.ndarray) -> np.ndarray:
        """Return (b,) bool, true where neither neighbor in the episode has the same instruction.

        Of such a frame, made by ``sim.views``, only the next action is known. An episode of one frame is one.
        """
        first, end = frames == 0, frames == len(self.episode) - 1
        before, after = np.maximum(frames - 1, 0), np.minimum(frames + 1, len(self.episode) - 1)
        return np.asarray((first | self._differ(before, frames)) & (end | self._differ(frames, after)))

    def _differ(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return (b,) bool, true where two frames are of different episodes or instructions."""
        episode, instruction = self.episode, self.instruction
        return np.asarray((episode[one] != episode[other]) | (instruction[one] != instruction[other]))

    def validation_mask(self, frames: np.ndarray, share: float) -> np.ndarray:
        """Return the validation mask (b,) bool of frames (b,), from which a rater does not learn.

        It takes every k-th episode of the frames, counted per instruction, so that each instruction with k
        episodes is represented.
        """
        episodes, first, which = np.unique(self.episode[frames], return_index=True, return_inverse=True)
        place = np.empty(len(episodes), int)
        place[np.argsort(self.instruction[frames[first]], kind="stable")] = np.arange(len(episodes))
        every = max(2, round(1 / share))
        return np.asarray(place[which] % every == every - 1)

    def chunks(self, frames: np.ndarray, length: int) -> np.ndarray:
        """Return the next ``length`` actions, (b,) -> (b, l, d); the last one repeats past the end."""
        return self.actions[self._steps(frames, length)]

    def executed_chunks(self, frames: np.ndarray, length: int) -> np.ndarray:
        """Return the next ``length`` executed actions, as ``chunks``; the demonstrated ones if unknown."""
        return (self.actions if self.executed is None else self.executed)[self._steps(frames, length)]

    def _steps(self, frames: np.ndarray, length: int) -> np.ndarray:
        return np.minimum(frames[:, None] + np.arange(length), self.last[frames][:, None])


def load_episodes(
    paths: Sequence[Path],
    image_size: int,
    cache: Path,
    *,
    skip_broken: bool = False,
    decode: str = "ahead",
) -> Episodes:
    """Read datasets.

    Args:
        paths: As in ``dataset_specs``.
        image_size: Side to which images are resized [px].
        cache: Folder for data derived from datasets, such as decoded images; safe to delete.
        skip_broken: Whether to leave out episodes with states or actions that are not numbers.
        decode: One of ``DECODE``.

    Raises:
        AsyncVLAError: If a dataset is missing, unreadable or inconsistent, or it has broken episodes.
    """
    specs = dataset_specs(paths)
    return joined_episodes(*read_datasets(specs, image_size, cache, decode, skip_broken=skip_broken))


def read_datasets(
    specs: Sequence[DatasetSpec], image_size: int, cache: Path, decode: str, *, skip_broken: bool
) -> tuple[list[Columns], list[ImageArray]]:
    """Read columns and images of each dataset; arguments and errors as in ``load_episodes``."""
    if decode not in DECODE:
        raise AsyncVLAError(f"decode is {decode!r}, choose one of {DECODE}")
    open_images = lazy_images if decode == "stream" else decoded_images

    def read(spec: DatasetSpec) -> tuple[Columns, ImageArray]:
        info = dataset_info(spec.root)
        columns = load_columns(info, spec, cache, skip_broken=skip_broken)
        return columns, open_images(info, spec, image_size, cache, columns.rows)

    # Threads suffice: decoders and image arithmetic release the interpreter lock.
    with ThreadPoolExecutor(min(len(specs), os.cpu_count() or 1)) as pool:
        done = track(pool.map(read, specs), description="Reading datasets", transient=True, total=len(specs))
        columns, images = zip(*done, strict=True)
    return list(columns), list(images)


def joined_episodes(columns: Sequence[Columns], images: Sequence[ImageArray]) -> Episodes:
    """Join the frames of several datasets."""
    instructions = tuple(sorted({text for one in columns for text in one.texts}))
    counts = [one.episodes for one in columns]
    frames = np.cumsum([0, *map(len, columns)])
    privileged = [one.privileged for one in columns if one.privileged is not None]
    executed = [one.executed for one in columns if one.executed is not None]
    return Episodes(
        images=ConcatenatedImages(images, [one.row for one in columns]),
        state=Rows([one.state for one in columns]),
        actions=Rows([one.action for one in columns]),
        privileged=Rows(privileged) if len(privileged) == len(columns) else None,
        episode=Rows([one.episode for one in columns], np.cumsum([0, *counts]).tolist()),
        last=Rows([one.last for one in columns], frames.tolist()),
        instruction=Rows(
            [one.task for one in columns],
            tables=[np.array([instructions.index(text) for text in one.texts]) for one in columns],
        ),
        instructions=instructions,
        datasets=tuple((one.digest, count) for one, count in zip(columns, counts, strict=True)),
        executed=Rows(executed) if len(executed) == len(columns) else None,
    )
