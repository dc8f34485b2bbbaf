"""The ``asyncvla`` commands about robots: ``check`` and ``new-robot``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from asyncvla_ros.types import AsyncVLAError, ContractError

# Columns of the tables in a file or a pipe.
FILE_WIDTH = 160


def check(
    robot: Annotated[str, typer.Option(help="Robot contract: a name in config/robots or a .yaml.")],
    checkpoint: Annotated[Path | None, typer.Option(help="Also compare with this checkpoint.")] = None,
) -> None:
    """Explain a robot contract, and what of it does not fit a checkpoint (exit code 1 then)."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from asyncvla_ros.paths import robot_file
    from asyncvla_ros.robot.contract_file import load_robot
    from asyncvla_ros.robot.feature_file import load_features
    from asyncvla_ros.robot.listing import listings
    from asyncvla_ros.robot.mismatches import mismatches

    contract = load_robot(robot_file(robot))
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
    for listing in listings(contract):
        table = Table(*listing.columns, title=listing.title, title_justify="left")
        for row in listing.rows:
            # As text: rich would take brackets for a style.
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    if checkpoint is None:
        print(f"{contract.name} is a valid contract; to compare it with a policy, add --checkpoint FOLDER")
        return
    problems = mismatches(contract, load_features(checkpoint))
    if not problems:
        print(f"{contract.name} fits {checkpoint}")
        return
    print(f"{contract.name} does not fit {checkpoint}:")
    for problem in problems:
        print(f"- {problem}")
    raise typer.Exit(1)


def new_robot(
    name: Annotated[str, typer.Argument(help="Name of the robot: letters, digits and _.")],
    *,
    urdf: Annotated[Path | None, typer.Option(help="URDF with the joints and their limits.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Look for topics of the running robot.")] = False,
    wait: Annotated[float, typer.Option(help="Look at most so long (s).")] = 8.0,
    out: Annotated[Path | None, typer.Option(help="File to write; default: NAME.yaml here.")] = None,
) -> None:
    """Write a commented robot contract to start from; what must be filled in is marked."""
    from asyncvla_ros.robot.contract_file import FILL_IN
    from asyncvla_ros.robot.draft import draft
    from asyncvla_ros.robot.urdf import read_urdf

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise AsyncVLAError(f"name {name!r}: expected letters, digits and _, beginning with a letter")
    if urdf is None and not live:
        raise AsyncVLAError("expected --urdf FILE, --live, or both; found neither")
    file = out or Path(f"{name}.yaml")
    if file.exists():
        raise AsyncVLAError(f"{file} exists; choose another file with --out")
    description = None if urdf is None else _read(urdf)
    where = str(urdf or "robot_description")
    topics = None
    if live:
        from asyncvla_ros.ros.discovery import discover

        topics = discover(wait)
        description = topics.urdf if description is None else description
    text = draft(name, None if description is None else read_urdf(description, where), topics)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    blanks = sum(FILL_IN in line.split("#")[0] for line in text.splitlines())
    print(f"{file}: fill in {blanks} lines ({FILL_IN}), then: asyncvla check --robot {file}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{file}: cannot read the URDF: {error}") from error
