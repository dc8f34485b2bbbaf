"""Values as they are written in an option: ``0,2,5-7`` and ``KEY=VALUE``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asyncvla_ros.types import AsyncVLAError


def indices(text: str, what: str) -> tuple[int, ...]:
    """Parse ``0,2,5-7`` to (0, 2, 5, 6, 7).

    Args:
        text: What is written.
        what: Name of the option, without its dashes.

    Raises:
        AsyncVLAError: If the text is of another form.
    """
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise AsyncVLAError(f"--{what} is {text!r}, expected indices such as 0,2 or 0-9")
    chosen: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise AsyncVLAError(f"--{what} is {text!r}, but {part} runs backwards; expected such as 0-9")
        chosen += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(chosen))


def indices_or_all(text: str, what: str) -> tuple[int, ...]:
    """Parse as ``indices`` does, and ``all`` to an empty tuple."""
    return () if text == "all" else indices(text, what)


def key_values(texts: Sequence[str], option: str) -> dict[str, str]:
    """Parse ``["a=b", "c=d"]`` to {"a": "b", "c": "d"}.

    Args:
        texts: What is written.
        option: Name of the option.

    Raises:
        AsyncVLAError: If a text is of another form.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key or not value:
            raise AsyncVLAError(f"{option} is {text!r}, expected KEY=VALUE")
        if found.setdefault(key, value) != value:
            raise AsyncVLAError(f"{option} {key} is said twice, {found[key]!r} and {value!r}; keep one")
    return found


def shares(texts: Sequence[str], option: str) -> tuple[tuple[str, float], ...]:
    """Parse ``["a=0.4", "b=0.6"]`` to (("a", 0.4), ("b", 0.6)).

    Args:
        texts: What is written.
        option: Name of the option.

    Raises:
        AsyncVLAError: If a text is of another form.
    """
    try:
        return tuple((key, float(value)) for key, value in key_values(texts, option).items())
    except ValueError as error:
        raise AsyncVLAError(f"{option} is {list(texts)}, expected KIND=SHARE with a number") from error
