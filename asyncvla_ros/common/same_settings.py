"""Work that continues where it stopped must be the same work."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from asyncvla_ros.types import AsyncVLAError


def fixed_settings(settings: Mapping[str, Any], free: Collection[str]) -> dict[str, Any]:
    """All settings but those that may differ, as they will be when they have been to a file and back."""
    values: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return {name: value for name, value in values.items() if name not in free}


def require_same_settings(before: Mapping[str, Any], now: Mapping[str, Any], what: str, advice: str) -> None:
    """Refuse to continue what was begun with other settings.

    Args:
        before: Settings as read from a file.
        now: ``fixed_settings`` as given now.
        what: What was found, such as "FILE is of another evaluation".
        advice: What to do about it.

    Raises:
        AsyncVLAError: If they differ; names every difference.
    """
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        pairs = ", ".join(f"{k}: {before.get(k)!r} there, {now.get(k)!r} here" for k in changed)
        raise AsyncVLAError(f"{what} ({pairs}); {advice}")
