"""Settings that are declared once: a field carries its default, its help and its bounds.

The command line and the files of ``--config`` are made from the fields of a settings class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, field
from typing import Any

#: Keys in the metadata of a field.
HELP, MINIMUM, CHOICES, FLAG = "help", "minimum", "choices", "flag"


def option(
    default: Any = MISSING,
    help: str = "",
    minimum: float | None = None,
    choices: tuple[str, ...] = (),
    flag: str | None = None,
    default_factory: Callable[[], Any] | None = None,
) -> Any:
    """A field of a settings class.

    Args:
        default: Left out: it must be given.
        help: One sentence for the command line.
        minimum: The least that a number may be.
        choices: What a text may be.
        flag: Names on the command line, if not made from the field's.
        default_factory: Makes a default that is no constant.
    """
    metadata = {HELP: help, MINIMUM: minimum, CHOICES: choices, FLAG: flag}
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=metadata)
    return field(default=default, metadata=metadata)
