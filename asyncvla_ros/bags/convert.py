"""``asyncvla convert``: recordings to a LeRobot v3 dataset, one recording at a time.

Each becomes a dataset of its own under a hidden name; when all are there they are joined. A run that was
ended goes on with the recordings that are missing.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from asyncvla_ros.bags.episode import DISCARDED, FAILURE, RECORDING, read_note
from asyncvla_ros.bags.frame_settings import ConvertSettings
from asyncvla_ros.bags.frames import NO_ACTION, RecordedFrame, RecordedFrames
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.data.lerobot_writer import FEWEST_FRAMES, DatasetWriter, dataset_features
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import AsyncVLAError

SUMMARY = "converted.json"
NOT_SOLVED, WAS_DISCARDED, CUT_SHORT = "not solved", "discarded", "cut short"
# What to do about a reason for which nothing is left.
HINTS = {
    NOT_SOLVED: " (--failures takes these, too)",
    WAS_DISCARDED: " (--discarded takes these, too)",
    CUT_SHORT: " (--failures takes these, too)",
    NO_ACTION: " (choose what the action is: --target outputs, or --target state:1 of an arm led by hand)",
}


@dataclass
class Converted:
    """What became of some recordings.

    Attributes:
        episodes: Written; a recording with gaps becomes several.
        frames: Written.
        dropped: Reason to number of frames that are not.
        skipped: Reason to recordings that are left out.
        problems: What could not be read.
    """

    episodes: int = 0
    frames: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, other: Converted) -> None:
        """Add the counts of another conversion."""
        self.episodes += other.episodes
        self.frames += other.frames
        self.dropped.update(other.dropped)
        self.problems += other.problems
        for reason, names in other.skipped.items():
            self.skipped.setdefault(reason, []).extend(names)


def convert(
    bags: Sequence[Path],
    robot: Callable[[Path], RobotContract],
    out: Path,
    settings: ConvertSettings,
    say: Callable[[str], None],
) -> Converted:
    """Write a LeRobot dataset of recordings.

    Args:
        bags: The recordings, in the order of the episodes.
        robot: The contract of each; all have the same names and rate.
        out: Folder of the dataset; must not exist.
        settings: What to convert.
        say: Gets a line for each recording.

    Raises:
        AsyncVLAError: a recording cannot be used, or nothing is left; what was converted is kept for the next
            run.
        RunError: it cannot be written.
    """
    if out.exists():
        raise AsyncVLAError(f"{out} exists already, expected a path for a new dataset")
    parts = out.with_name(f".{out.name}.parts")
    total = Converted()
    folders = []
    for bag in bags:
        part = parts / _name(bag, settings)
        done = _earlier(part)
        if done is None:
            done = _convert_one(bag, robot(bag), part, settings)
        total.add(done)
        folders += [part / "data"] if done.episodes else []
        counts = f"{done.episodes} episodes, {done.frames} frames, {sum(done.dropped.values())} dropped"
        say(f"{bag}: {'left out' if done.skipped else counts}")
    if not folders:
        raise AsyncVLAError(f"nothing to convert is left: {_reasons(total)}")
    _join(folders, out)
    shutil.rmtree(parts)
    return total


def _reasons(total: Converted) -> str:
    """Return why nothing is left, most frequent first, and which option may help."""
    reasons = [*total.skipped, *(reason for reason, _ in total.dropped.most_common()), *total.problems][:5]
    hints = (next((HINTS[start] for start in HINTS if reason.startswith(start)), "") for reason in reasons)
    return "; ".join(reason + hint for reason, hint in zip(reasons, hints, strict=True)) or "no frames"


def _name(bag: Path, settings: ConvertSettings) -> str:
    """Derive the name of a part, which changes with the recording and with the settings."""
    files = sorted(bag.rglob("*")) if bag.is_dir() else [bag]
    sizes = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return sha256(repr((str(bag.resolve()), sizes, settings)).encode()).hexdigest()[:20]


def _earlier(part: Path) -> Converted | None:
    """Return what an earlier run made of a recording; None if it was interrupted."""
    try:
        values = json.loads((part / SUMMARY).read_text(encoding="utf-8"))
        return Converted(**{**values, "dropped": Counter(values["dropped"])})
    except (OSError, ValueError, TypeError, KeyError):
        shutil.rmtree(part, ignore_errors=True)
        return None


def _convert_one(bag: Path, robot: RobotContract, part: Path, settings: ConvertSettings) -> Converted:
    result = Converted()
    note = read_note(bag)
    reason = _left_out("" if note is None else note.outcome, settings)
    if reason:
        result.skipped[reason] = [str(bag)]
    else:
        with BagReader(bag) as reader:
            _write(RecordedFrames(reader, robot, settings.frames), robot, part / "data", result)
            result.problems += reader.problems
    part.mkdir(parents=True, exist_ok=True)
    values = {**vars(result), "dropped": dict(result.dropped)}
    (part / SUMMARY).write_text(json.dumps(values), encoding="utf-8")
    return result


def _left_out(outcome: str, settings: ConvertSettings) -> str:
    if outcome == FAILURE and not settings.frames.failures:
        return NOT_SOLVED
    if outcome == DISCARDED and not settings.discarded:
        return WAS_DISCARDED
    return CUT_SHORT if outcome == RECORDING and not settings.frames.failures else ""


def _write(frames: RecordedFrames, robot: RobotContract, folder: Path, result: Converted) -> None:
    writer: DatasetWriter | None = None
    pending: list[RecordedFrame] = []
    length, is_open = 0, False
    try:
        for frame in frames:
            if frame.dropped:
                result.dropped[frame.dropped] += 1
                length, is_open = _end(writer, pending, length, result), False
                continue
            pending.append(frame)
            # A shorter piece between two gaps is no episode.
            if not is_open and len(pending) < FEWEST_FRAMES:
                continue
            is_open = True
            for one in pending:
                assert one.observation is not None and one.action is not None
                writer = writer or DatasetWriter(folder, _features(robot, one), _fps(robot), robot.name)
                writer.add(one.observation, one.action)
                length += 1
            pending.clear()
        _end(writer, pending, length, result)
        if writer is not None:
            writer.finish()
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise


def _end(writer: DatasetWriter | None, pending: list[RecordedFrame], length: int, result: Converted) -> int:
    """End an episode, if there is one, and return the length of the next."""
    if pending:
        result.dropped["alone between two gaps"] += len(pending)
        pending.clear()
    if writer is not None and length:
        writer.save_episode()
        result.episodes += 1
        result.frames += length
    return 0


def _features(robot: RobotContract, frame: RecordedFrame) -> dict[str, dict[str, Any]]:
    assert frame.observation is not None
    sizes = {key: (image.shape[0], image.shape[1]) for key, image in frame.observation.images.items()}
    return dataset_features(sizes, robot.state_names, robot.dof_names)


def _fps(robot: RobotContract) -> int:
    fps = round(robot.action_hz)
    if abs(fps - robot.action_hz) > 1e-6:
        raise AsyncVLAError(
            f"action_hz of {robot.name} is {robot.action_hz:g}; LeRobot knows whole frames per second"
        )
    return fps


def _join(folders: Sequence[Path], out: Path) -> None:
    """Join several datasets into one."""
    if len(folders) == 1:
        folders[0].rename(out)
        return
    from lerobot.datasets.aggregate import aggregate_datasets

    logging.getLogger("lerobot").setLevel(logging.ERROR)
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # It draws bars of its own there.
    with redirect_stderr(io.StringIO()):
        aggregate_datasets(
            [f"local/{folder.parent.name}" for folder in folders],
            f"local/{out.name}",
            roots=list(folders),
            aggr_root=unfinished,
        )
    unfinished.rename(out)
