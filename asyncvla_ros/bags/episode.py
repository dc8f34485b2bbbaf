"""What a recorder says of an episode, beside its messages: ``episode.yaml`` in its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from asyncvla_ros.types import AsyncVLAError

FILE, ROBOT_FILE = "episode.yaml", "robot.yaml"
RECORDING, SUCCESS, FAILURE, DISCARDED, UNKNOWN = "recording", "success", "failure", "discarded", "unknown"
OUTCOMES = (UNKNOWN, SUCCESS, FAILURE, DISCARDED)


@dataclass
class EpisodeNote:
    """An episode.

    Attributes:
        instruction: What was to be done; empty: the chunks say it.
        outcome: One of ``OUTCOMES``; ``recording`` while it is recorded, and for ever if that was cut short.
        robot: Name of the robot; its contract is in ``robot.yaml``.
        began: Date and time, as of ISO 8601.
        policy: Parameters of policy_node at that time; empty: there was none.
        checkpoint: Fingerprint of its checkpoint; empty: not known.
        versions: Of the software.
        messages: Topic to what was received, written and lost.
        problem: Why the recording is not complete; empty: it is.
    """

    instruction: str = ""
    outcome: str = RECORDING
    robot: str = ""
    began: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    problem: str = ""

    def write(self, folder: Path) -> None:
        """Write the file, whole or not at all."""
        text = yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)
        partial = folder / f".{FILE}.partial"
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / FILE)


def recorded_robot(bag: Path) -> Path | None:
    """Return the contract that a recorder put beside a recording, or None."""
    file = (bag if bag.is_dir() else bag.parent) / ROBOT_FILE
    return file if file.is_file() else None


def read_note(bag: Path) -> EpisodeNote | None:
    """Read the note of the recorder; None if another program made the recording.

    Args:
        bag: Its folder, or a file in it.

    Raises:
        AsyncVLAError: the file is damaged.
    """
    file = (bag if bag.is_dir() else bag.parent) / FILE
    if not file.is_file():
        return None
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        known = {one.name for one in fields(EpisodeNote)}
        note = EpisodeNote(**{key: value for key, value in values.items() if key in known})
        if not all(isinstance(text, str) for text in (note.instruction, note.outcome)):
            raise ValueError("instruction or outcome is no text")
        if not isinstance(note.policy, Mapping):
            raise ValueError("policy holds no parameters")
    except (OSError, ValueError, yaml.YAMLError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise AsyncVLAError(f"{file} cannot be read: {reason}") from error
    return note
