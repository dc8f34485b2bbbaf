"""Options and values that several commands share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from asyncvla_ros.common.options import HELP, checkpoint_option
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError, RunError


def writable(option: typer.CallbackParam, out: Path | None) -> Path | None:
    """Find out before the work whether its result can be written; makes the folder.

    Raises:
        AsyncVLAError: If it cannot.
    """
    if out is None or str(out) == "-":
        return out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AsyncVLAError(f"{option.opts[0]} {out} cannot be written: {error}") from error
    if out.is_dir():
        raise AsyncVLAError(f"{option.opts[0]} {out} is a folder, expected a file, such as one in it")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise AsyncVLAError(f"{option.opts[0]} {out} cannot be written: no permission")
    return out


CheckpointOption = Annotated[Path | None, typer.Option(help=checkpoint_option().metadata[HELP])]
JsonOption = Annotated[
    Path | None, typer.Option("--json", callback=writable, help="Write metrics there; - prints them.")
]
ConventionOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What the training data mean where the checkpoint does not say it, such as "
        "gripper=open_is_one; also state=, images= and camera.KEY=; repeatable."
    ),
]
#: For a parameter of a command that is made with ``settings_command.with_settings``.
StrategyOptions = Annotated[Strategy, "How a chunk is generated; default: as the checkpoint says"]


def write_json(metrics: dict[str, Any], out: Path | None) -> None:
    """Write metrics to a file, whole or not at all, or print them for ``-``.

    Raises:
        RunError: The file cannot be written; the metrics are printed then, so that nothing is lost.
    """
    text = json.dumps(metrics, indent=1)
    if out is None:
        return
    if str(out) == "-":
        print(text)
        return
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        print(text)
        raise RunError(f"{out} cannot be written ({error}); its content was printed instead") from error
    finally:
        partial.unlink(missing_ok=True)
