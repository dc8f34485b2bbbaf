"""Checks that the parts of a checkpoint's config share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from asyncvla_ros.types import CheckpointError

# Greatest count in a config, more than any network needs.
MOST = 2**16


def require_count(name: str, value: Any) -> None:
    """Raise CheckpointError if a value is no whole number from 1 to ``MOST``."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise CheckpointError(f"{name} is {value!r}, expected a whole number of at least 1")


def require_known(values: Any, kind: type, where: str) -> None:
    """Raise CheckpointError if values are no object whose keys are fields of a dataclass."""
    known = {f.name for f in fields(kind)}
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{where} is {values!r}, expected an object with the keys {sorted(known)}")
    if unknown := sorted(set(values) - known):
        raise CheckpointError(f"{where} has unknown keys {unknown}; known keys are {sorted(known)}")
