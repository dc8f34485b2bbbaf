"""Check that resumed work has the settings with which it began."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from asyncvla_ros.types import AsyncVLAError


def fixed_settings(settings: Mapping[str, Any], free: Collection[str]) -> dict[str, Any]:
    """Return all settings except those that may differ, as they read after a round trip through JSON."""
    values: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return {name: value for name, value in values.items() if name not in free}


def require_same_settings(before: Mapping[str, Any], now: Mapping[str, Any], what: str, advice: str) -> None:
    """Refuse to resume work that began with other settings.

    Args:
        before: Settings as read from a file.
        now: ``fixed_settings`` as given now.
        what: The finding, such as "FILE is of another evaluation".
        advice: The remedy.

    Raises:
        AsyncVLAError: If the settings differ; names every difference.
    """
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        pairs = ", ".join(f"{k}: {before.get(k)!r} there, {now.get(k)!r} here" for k in changed)
        raise AsyncVLAError(f"{what} ({pairs}); {advice}")
