"""The folder that episodes are recorded into, as it was found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from asyncvla_ros.bags.episode import RECORDING, read_note
from asyncvla_ros.types import AsyncVLAError


def cut_short(out: Path) -> Iterator[str]:
    """A warning for each episode of which something is missing or cannot be read."""
    for folder in sorted(out.glob("episode_*")):
        try:
            note = read_note(folder)
        except AsyncVLAError as error:
            yield str(error)
            continue
        if note is not None and note.outcome == RECORDING:
            yield (
                f"{folder} was cut short: its last moments, less than a second, are missing; the rest can be "
                "read"
            )


def next_number(out: Path) -> int:
    """Number of the next episode."""
    names = [re.fullmatch(r"episode_(\d+)", path.name) for path in out.iterdir()]
    return max((int(name[1]) + 1 for name in names if name), default=0)
