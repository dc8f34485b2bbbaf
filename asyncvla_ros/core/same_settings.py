"""Work that continues where it stopped must be the same work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asyncvla_ros.types import AsyncVLAError


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they will be when they have been written to a file and read again."""
    values: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return values


def require_same_settings(before: Mapping[str, Any], now: Mapping[str, Any], what: str, advice: str) -> None:
    """Refuse to continue what was begun with other settings.

    Args:
        before: Settings as read from a file.
        now: Settings as given now.
        what: What was found, such as "FILE is of another evaluation".
        advice: What to do about it.

    Raises:
        AsyncVLAError: If they differ; names every difference.
    """
    after = as_json(now)
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    if changed:
        pairs = ", ".join(f"{k}: {before.get(k)!r} there, {after.get(k)!r} here" for k in changed)
        raise AsyncVLAError(f"{what} ({pairs}); {advice}")
