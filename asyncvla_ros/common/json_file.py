"""Reading a JSON object that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.types import AsyncVLAError


def read_json(file: Path, error: type[AsyncVLAError] = AsyncVLAError) -> dict[str, Any]:
    """Return the object in a JSON file.

    Args:
        file: The file.
        error: What to raise.

    Raises:
        AsyncVLAError: The file is unreadable, or holds no object; of the type ``error``.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise error(f"{file} is not JSON: {problem}{lfs_remedy(file)}") from problem
    if not isinstance(values, dict):
        raise error(f"{file} holds a {type(values).__name__}, expected an object")
    return values
