"""The ``asyncvla bench`` commands."""

from __future__ import annotations

from typing import Annotated

import typer

from asyncvla_ros.cli_options import (
    THREADS,
    CheckpointOption,
    DeviceOption,
    JsonOption,
    SeedOption,
    write_json,
)
from asyncvla_ros.types import RunError

bench_app = typer.Typer(no_args_is_help=True, help="Measure speed, and whether limits are kept.")


@bench_app.command("policy")
def bench_policy_command(
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(help="torch threads; nano is fastest with 1.")] = THREADS,
    repetitions: Annotated[int, typer.Option(help="Measured decisions, at least 50.")] = 100,
    json_out: JsonOption = None,
) -> None:
    """Time one decision: prefix, SFM, rater, AFM; with the prefix cache and without."""
    from rich.console import Console
    from rich.table import Table

    from asyncvla_ros.bench_policy import STAGES, bench_policy
    from asyncvla_ros.core.provenance import provenance

    figures = bench_policy(checkpoint, device, threads, repetitions)
    figures |= {"threads": threads, "device": device, "repetitions": repetitions, **provenance()}
    table = Table("stage", "cached p50 [ms]", "p95", "uncached p50 [ms]", "p95", "ratio of p50")
    for stage in STAGES:
        cached, uncached = figures["cached_ms"][stage], figures["uncached_ms"][stage]
        cells = [
            cached["p50"],
            cached["p95"],
            uncached["p50"],
            uncached["p95"],
            uncached["p50"] / cached["p50"],
        ]
        table.add_row(stage, *(f"{cell:.1f}" for cell in cells))
    Console(stderr=True).print(table)
    write_json(figures, json_out)


@bench_app.command("safety")
def bench_safety_command(
    chunks: Annotated[int, typer.Option(help="Hostile chunks, half of them for each arm.")] = 1_000_000,
    seed: SeedOption = 0,
    json_out: JsonOption = None,
) -> None:
    """Send hostile chunks, faults and restarts through the controller core; 1 if a command broke a limit."""
    from rich.console import Console
    from rich.table import Table

    from asyncvla_ros.bench_safety import bench_safety, is_clean
    from asyncvla_ros.core.provenance import provenance

    figures = bench_safety(chunks, seed) | provenance()
    table = Table("arm", "chunks", "accepted", "commands", "violations", "exceptions", "CPU [s]")
    for name, arm in figures["arms"].items():
        counts = (arm["chunks"], arm["accepted"], arm["commands"], sum(arm["violations"].values()))
        exceptions = sum(arm["exceptions"].values())
        table.add_row(name, *(f"{count:,}" for count in counts), str(exceptions), f"{arm['cpu_s']:.0f}")
    Console(stderr=True).print(table)
    write_json(figures, json_out)
    if not is_clean(figures):
        kinds = ", ".join(f"{kind} {count}" for kind, count in figures["violations"].items() if count)
        raise RunError(f"violations: {kinds or 'none'}; exceptions: {figures['exceptions']}")
