"""Commands made from settings classes: an option for each field, and ``--config FILE`` for all."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import typer

from asyncvla_ros.common.options import (
    CHOICES,
    FLAG,
    FORMER,
    FORMER_CHOICES,
    HELP,
    MAXIMUM,
    MINIMUM,
    READ,
    WRITTEN,
)
from asyncvla_ros.common.yaml_file import read_yaml
from asyncvla_ros.types import ContractError

# Tells where the value of an option came from.
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Make each parameter of a typer command that is a settings class out of an option for each field.

    Args:
        command: Takes settings by name; ``Annotated`` with a text they have a heading of their own in the
            help. Fields that are no options have their defaults.
    """
    kinds: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(command, eval_str=True).parameters.values():
        is_annotated = get_origin(own.annotation) is Annotated
        kind = own.annotation.__origin__ if is_annotated else own.annotation
        if is_dataclass(kind) and isinstance(kind, type):
            kinds[own.name] = kind
            parameters += option_parameters(kind, own.annotation.__metadata__[0] if is_annotated else None)
        else:
            parameters.append(own.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        context = given.pop(_CONTEXT.name)
        made = {name: _filled(kind, given, context) for name, kind in kinds.items()}
        others = {name for kind in kinds.values() for name in _names(kind)}
        command(**{name: value for name, value in given.items() if name not in others}, **made)

    run.__signature__ = inspect.Signature([*parameters, _CONTEXT])  # type: ignore[attr-defined]
    return run


def settings_command(kind: type, run: Callable[[Any], None], text: str) -> Callable[..., None]:
    """Make a typer command that fills a settings class, also from a file, and runs it.

    Args:
        kind: A dataclass whose fields are made by ``common.options.option``.
        run: Takes the settings.
        text: Help of the command.
    """

    def command(**given: Any) -> None:
        run(_filled(kind, given, given[_CONTEXT.name]))

    names = _names(kind)

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
    command.__signature__ = inspect.Signature([*parameters, _CONTEXT])  # type: ignore[attr-defined]
    command.__doc__ = text
    return command


def option_parameters(kind: type, panel: str | None = None) -> list[inspect.Parameter]:
    """Make an option for each field of a settings class, for the signature of a typer command.

    Args:
        kind: A dataclass whose fields are made by ``common.options.option``.
        panel: Heading of these options in the help.
    """
    hints, own = get_type_hints(kind), _options(kind)
    retired = [field for field in own if field.metadata[FORMER]]
    return [_parameter(field, hints[field.name], panel) for field in own] + [
        _retired(_parameter(field, hints[field.name], None), field.metadata[FORMER]) for field in retired
    ]


def _names(kind: type) -> list[str]:
    """Return the names of the options of a settings class, retired ones too."""
    own = _options(kind)
    return [field.name for field in own] + [field.metadata[FORMER] for field in own if field.metadata[FORMER]]


def _options(kind: type) -> list[Field[Any]]:
    return [field for field in fields(kind) if HELP in field.metadata]


def _filled(kind: type, given: Mapping[str, Any], context: typer.Context) -> Any:
    """Make settings of what typer has read, by the names of their fields.

    A retired name counts as the present one does: the command line wins over a file. The present name wins
    where both are given in the same place.
    """
    values = {}
    for field in _options(kind):
        value, read, former = given[field.name], field.metadata[READ], field.metadata[FORMER]
        if former and _precedence(former, context):
            _deprecate(_flag(former), _flag(field.name))
            if _precedence(former, context) > _precedence(field.name, context):
                value = given[former]
        value = tuple(value) if isinstance(value, list) else value
        values[field.name] = value if read is None else read(value)
    return kind(**values)


def _parameter(field: Field[Any], hint: Any, panel: str | None) -> inspect.Parameter:
    metadata, kind, default = field.metadata, hint, field.metadata[WRITTEN]
    if metadata[READ] and default is not MISSING:
        kind = list[str] if isinstance(default, tuple) else type(default)
    elif getattr(hint, "__origin__", None) is tuple:
        kind = list[hint.__args__[0]]
    options: dict[str, Any] = {"help": metadata[HELP], "rich_help_panel": panel}
    bounds = {"min": metadata[MINIMUM], "max": metadata[MAXIMUM]}
    options |= {name: bound for name, bound in bounds.items() if bound is not None}
    if metadata[FORMER_CHOICES]:
        options["parser"] = _choice(metadata[CHOICES], metadata[FORMER_CHOICES])
        options["metavar"] = f"[{'|'.join(metadata[CHOICES])}]"
    elif metadata[CHOICES]:
        chosen: Any = Literal[metadata[CHOICES]]
        kind = chosen if default is not None else chosen | None
    given = (metadata[FLAG],) if metadata[FLAG] else ()
    if default is MISSING:
        default = inspect.Parameter.empty
    elif isinstance(default, tuple):
        default = list(default)
    annotation = Annotated[kind, typer.Option(*given, **options)]  # type: ignore[valid-type]
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _precedence(name: str, context: typer.Context) -> int:
    """Return 0 for an option that is not given, 1 for one of a file, 2 for one of the command line."""
    source = context.get_parameter_source(name)
    return {"DEFAULT_MAP": 1, "COMMANDLINE": 2}.get(source.name, 0) if source else 0


def _retired(present: inspect.Parameter, name: str) -> inspect.Parameter:
    """Make the hidden option of a retired name: with the same bounds, and None if it is not given."""
    kind, present_option = present.annotation.__origin__, present.annotation.__metadata__[0]
    option = copy.copy(present_option)
    option.hidden, option.param_decls = True, ()
    return present.replace(name=name, default=None, annotation=Annotated[kind | None, option])


def _choice(choices: tuple[str, ...], former: Mapping[str, str]) -> Callable[[str], str]:
    """Make a parser of a choice that also reads retired names."""

    def read(text: str) -> str:
        if text in former:
            _deprecate(text, former[text])
        if (choice := former.get(text, text)) not in choices:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(choices)}")
        return choice

    return read


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _deprecate(old: str, new: str) -> None:
    typer.echo(f"asyncvla: {old} is deprecated, use {new}", err=True)


def _from_file(file: Path | None, names: list[str]) -> dict[str, Any]:
    """Read the values in a file, by the names of the options.

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
    """Return numbers as text, which typer reads as it reads the command line; lists stay lists."""
    if isinstance(value, list):
        return [str(part) for part in value]
    return value if isinstance(value, bool) or value is None else str(value)
