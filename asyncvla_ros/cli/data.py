"""``asyncvla data``: what a dataset holds, and whether it can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def data(
    datasets: Annotated[list[Path], typer.Argument(help="LeRobot v3 dataset, folder of them, or data.yaml.")],
    chunk_size: Annotated[int, typer.Option(min=1, help="Actions per chunk of the policy.")] = 8,
) -> None:
    """Say what datasets hold: episodes, tasks, cameras, dims; exit code 1 if they cannot be used."""
    problems = show(datasets, chunk_size)
    for problem in problems:
        print(f"PROBLEM  {problem}")
    if problems:
        raise typer.Exit(1)
    print("nothing speaks against training on this")


def show(datasets: Sequence[Path], chunk_size: int) -> list[str]:
    """Print what datasets hold and return their problems.

    Raises:
        AsyncVLAError: one cannot be read as a LeRobot v3 dataset.
    """
    from asyncvla_ros.data.spec import dataset_specs
    from asyncvla_ros.data.survey import survey

    problems = []
    for spec in dataset_specs(datasets):
        lines, found = survey(spec, chunk_size)
        print("\n".join(lines), flush=True)
        problems += found
    return problems
