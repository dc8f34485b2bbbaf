"""Settings that are declared once: a field has its default, its help and its bounds.

The command line and the files of ``--config`` follow from the fields of a settings class.
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
    """Declare a field of a settings class.

    Args:
        default: Default; without one the setting is required.
        help: One sentence for the command line.
        minimum: Least value of a number.
        choices: Permitted values of a text.
        flag: Names on the command line; by default made from the field's name.
        default_factory: Makes a default that is not constant.
    """
    metadata = {HELP: help, MINIMUM: minimum, CHOICES: choices, FLAG: flag}
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=metadata)
    return field(default=default, metadata=metadata)
