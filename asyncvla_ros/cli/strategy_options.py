"""The options of a ``Strategy``, for every command that decides."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from asyncvla_ros.cli.settings_command import option_parameters
from asyncvla_ros.strategy import Strategy

_PANEL = "How a decision is made; default: as the checkpoint says"


def with_strategy(command: Callable[..., None]) -> Callable[..., None]:
    """Make the parameter ``strategy`` of a typer command out of an option for each field of ``Strategy``.

    Args:
        command: Takes ``strategy`` by name; what was left out is None in it.
    """
    names = [field.name for field in fields(Strategy)]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in names}
        command(**given, strategy=Strategy(**chosen))

    own = inspect.signature(command, eval_str=True).parameters.values()
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*(one for one in own if one.name != "strategy"), *option_parameters(Strategy, _PANEL)]
    )
    return run
