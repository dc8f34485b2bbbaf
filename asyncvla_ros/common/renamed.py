"""Retired names that users have in files and scripts, and that are still read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Retired key in a file: present key.
_KEYS = {
    "action_chunk_size": "chunk_size",
    "decision_ms": "inference_ms",
    "decision_per_prefix": "inference_per_prefix",
    "decisions": "inferences",
    "execute_steps": "n_action_steps",
    "judging_ms": "refine_ms",
    "tick_ms": "inference_ms",
}


def with_present_keys(values: Mapping[str, Any], keys: Mapping[str, str] = _KEYS) -> dict[str, Any]:
    """Return values with the present keys; ``object_hook`` of ``json.loads`` where they are nested.

    A retired key beside the present one stays as it is, for whoever checks the keys.

    Args:
        values: Values as read from a file.
        keys: Present key by its retired name.
    """
    return {
        key if (present := keys.get(key, key)) in values else present: value for key, value in values.items()
    }


def deprecation(retired: str, present: str) -> str:
    """Return the line that tells a user of a retired name."""
    return f"{retired} is deprecated, use {present}"
