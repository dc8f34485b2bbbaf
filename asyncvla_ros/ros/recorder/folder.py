"""Inspects the folder that episodes are recorded into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from asyncvla_ros.bags.episode import RECORDING, read_note
from asyncvla_ros.types import AsyncVLAError


def cut_short(out: Path) -> Iterator[str]:
    """Yield a warning for each episode that is incomplete or cannot be read."""
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
    """Return the number of the next episode."""
    names = [re.fullmatch(r"episode_(\d+)", path.name) for path in out.iterdir()]
    return max((int(name[1]) + 1 for name in names if name), default=0)
