"""The files of a replay: metrics.json, report.html, predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asyncvla_ros.bags.episode import read_note
from asyncvla_ros.bags.inference import InferencePool
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.bags.replay import Replay
from asyncvla_ros.bags.replay_settings import ReplaySettings
from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.paths import robot_file, shipped_checkpoint
from asyncvla_ros.report.replay_page import replay_page
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.types import AsyncVLAError, RunError

METRICS, REPORT, PREDICTIONS = "metrics.json", "report.html", "predictions"


def recorded_deciding(bag: Path) -> dict[str, Any]:
    """Return the recorded policy's parameters, as far as a replay can take them; empty: not known.

    Raises:
        AsyncVLAError: the note of the recorder is damaged.
    """
    note = read_note(bag)
    return {} if note is None else dict(note.policy)


def run_replay(
    bag: Path,
    robot: str,
    out: Path,
    settings: ReplaySettings,
    checkpoint: Path | None,
    device: str,
    threads: int,
    workers: int,
    advance: Callable[[float], None],
) -> dict[str, Any]:
    """Replay a recording, write its files, and return what metrics.json holds.

    Args:
        bag: The recording.
        robot: Its contract: a name or a file.
        out: Folder of the files; predictions of an earlier run must not be in it.
        settings: How.
        checkpoint: Of the policy; None: the shipped one.
        device: torch device.
        threads: CPU threads of an inference.
        workers: Processes that decide.
        advance: Told the share that is done.

    Raises:
        AsyncVLAError: the recording, the robot and the policy do not go together, or nothing can be used.
        RunError: a file cannot be written.
    """
    contract = load_robot(robot_file(robot))
    if (out / PREDICTIONS).exists():
        raise AsyncVLAError(f"{out / PREDICTIONS} exists already, expected an --out without it")
    with BagReader(bag) as reader, InferencePool(checkpoint, device, threads, workers) as inference:
        replay = Replay(reader, inference, contract, settings, out=out)
        metrics = replay.run(advance)
        known = {"folder": inference.name, "fingerprint": fingerprint(checkpoint or shipped_checkpoint())}
    metrics["checkpoint"] = known
    note = read_note(bag)
    if note is not None and note.checkpoint and note.checkpoint != known["fingerprint"]:
        metrics["problems"].append("another checkpoint was recorded than the one that is replayed")
    if note is not None and note.problem:
        metrics["problems"].append(f"the recording was cut short: {note.problem}")
    _write(out / METRICS, json.dumps(metrics, indent=1, default=str))
    _write(out / REPORT, replay_page(metrics, replay.record))
    if not metrics["compared_steps"]:
        raise RunError(f"nothing could be compared with {metrics['target']}; see {out / REPORT}")
    return metrics


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise RunError(f"{file} cannot be written: {error.strerror}") from error
