"""Options and values that several commands share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError, RunError

# Of torch, in each process: a network this small gains nothing from more, and loses much on a busy machine.
THREADS = 1
CACHE = Path(".cache/frames")


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


CheckpointOption = Annotated[Path | None, typer.Option(help="Checkpoint folder; default: the shipped one.")]
SuiteOption = Annotated[str, typer.Option(help="LIBERO suite.")]
TasksOption = Annotated[str, typer.Option(help="Task indices such as 0,1 or 0-4, or all.")]
PlacementOption = Annotated[
    str,
    typer.Option(help="Of the objects: official, widened, exchanged (places swapped) or free (anywhere)."),
]
InitsOption = Annotated[str, typer.Option(help="Official initial states such as 0-9.")]
ModeOption = Annotated[str | None, typer.Option(help="afm or sfm; default: as the checkpoint says.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", callback=writable, help="Write figures there; - prints them.")
]
EngineOption = Annotated[
    str, typer.Option(help="plain, onnx, compiled, graph, or auto: graph on CUDA, else onnx or plain.")
]
DeviceOption = Annotated[str, typer.Option(help="torch device, such as cpu or cuda.")]
FreshOption = Annotated[bool, typer.Option(help="The data did not train the policy: use all of it.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes, each with a simulator.")]
ProcessesOption = Annotated[
    int | None, typer.Option(min=1, help="Data-parallel processes; default: one per GPU, or per CPU.")
]
SkipBrokenOption = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out episodes whose states or actions are no numbers.")
]
CacheOption = Annotated[
    Path, typer.Option(help="Folder of what is derived from datasets, such as decoded images.")
]
DataOption = Annotated[
    list[Path], typer.Option(help="LeRobot v3 dataset, folder of them, or data.yaml; repeatable.")
]
DecodeOption = Annotated[
    str, typer.Option(help="Images: ahead (all once, into the cache) or stream (when they are needed).")
]
LoaderWorkersOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Processes that make batches, per training process; default: 0 ahead, 2 when streaming."
    ),
]

DenoiseStepsOption = Annotated[int | None, typer.Option(help="Euler steps of a draft.")]
ExecuteStepsOption = Annotated[int | None, typer.Option(help="Actions executed of each chunk.")]
ConventionOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What the training data mean where the checkpoint does not say it, such as "
        "gripper=open_is_one; also state=, images= and camera.KEY=; repeatable."
    ),
]
#: For a parameter of a command that is made with ``settings_command.with_settings``.
StrategyOptions = Annotated[Strategy, "How a decision is made; default: as the checkpoint says"]


def write_json(figures: dict[str, Any], out: Path | None) -> None:
    """Write figures to a file, whole or not at all, or print them for ``-``.

    Raises:
        RunError: The file cannot be written; the figures are printed then, so that nothing is lost.
    """
    text = json.dumps(figures, indent=1)
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
