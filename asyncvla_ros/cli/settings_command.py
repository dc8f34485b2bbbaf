"""Commands made from a settings class: an option for each field, and ``--config FILE`` for all."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from asyncvla_ros.common.options import CHOICES, FLAG, HELP, MINIMUM
from asyncvla_ros.common.yaml_file import read_yaml
from asyncvla_ros.types import ContractError


def settings_command(kind: type, run: Callable[[Any], None], text: str) -> Callable[..., None]:
    """A typer command that fills a settings class and runs it.

    Args:
        kind: A dataclass whose fields are made by ``common.options.option``.
        run: Takes the settings.
        text: Help of the command.
    """

    def command(**given: Any) -> None:
        given.pop("config")
        run(kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}))

    names = [field.name for field in fields(kind)]

    def read(context: typer.Context, file: Path | None) -> Path | None:
        context.default_map = {**(context.default_map or {}), **_from_file(file, names)}
        return file

    config = Annotated[
        Path | None,
        typer.Option(callback=read, is_eager=True, help="YAML with any of these; the command line wins."),
    ]
    parameters = option_parameters(kind)
    parameters.append(
        inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=config)
    )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = text
    return command


def option_parameters(kind: type, panel: str | None = None) -> list[inspect.Parameter]:
    """An option for each field of a settings class, for the signature of a typer command.

    Args:
        kind: A dataclass whose fields are made by ``common.options.option``.
        panel: Heading of these options in the help.
    """
    hints = get_type_hints(kind)
    return [_parameter(field, hints[field.name], panel) for field in fields(kind)]


def _parameter(field: Field[Any], hint: Any, panel: str | None) -> inspect.Parameter:
    metadata, kind = field.metadata, hint
    if getattr(hint, "__origin__", None) is tuple:
        kind = list[hint.__args__[0]]
    options: dict[str, Any] = {"help": metadata[HELP], "rich_help_panel": panel}
    if metadata[MINIMUM] is not None:
        options["min"] = metadata[MINIMUM]
    if metadata[CHOICES]:
        chosen: Any = Literal[metadata[CHOICES]]
        kind = chosen if field.default is not None else chosen | None
    given = (metadata[FLAG],) if metadata[FLAG] else ()
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    if isinstance(default, tuple):
        default = list(default)
    annotation = Annotated[kind, typer.Option(*given, **options)]  # type: ignore[valid-type]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _from_file(file: Path | None, names: list[str]) -> dict[str, Any]:
    """The values in a file, by the names of the options.

    Raises:
        ContractError: If the file is no YAML, or has a key that is no option.
    """
    if file is None:
        return {}
    values = read_yaml(file, "settings")[1]
    if not isinstance(values, dict):
        raise ContractError(f"{file.name} holds a {type(values).__name__}, expected options and their values")
    if unknown := sorted(str(key) for key in set(values) - set(names)):
        raise ContractError(f"{file.name} has unknown keys {unknown}; known keys are {sorted(names)}")
    return {key: _text(value) for key, value in values.items()}


def _text(value: Any) -> Any:
    """Numbers as text, which typer reads as it reads the command line; lists stay lists."""
    if isinstance(value, list):
        return [str(part) for part in value]
    return value if isinstance(value, bool) or value is None else str(value)
