"""The ``asyncvla bench`` commands."""

from __future__ import annotations

from dataclasses import asdict, replace

import typer

from asyncvla_ros.bench.settings import BenchSettings, DataSettings, RuntimeSettings, SafetySettings
from asyncvla_ros.cli.options import JsonOption, write_json
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.ros.bench.settings import FaultSettings, StackSettings, TransportSettings
from asyncvla_ros.types import AsyncVLAError, RunError

bench_app = typer.Typer(no_args_is_help=True, help="Measure speed, and whether limits are kept.")


@bench_app.command("policy")
@with_settings
def bench_policy_command(settings: BenchSettings, json_out: JsonOption = None) -> None:
    """Time one inference: prefix, draft, rate, refine; with the prefix cache and without."""
    from rich.console import Console
    from rich.table import Table

    from asyncvla_ros.bench.policy import STAGES, bench_policy
    from asyncvla_ros.common.provenance import provenance

    if settings.size is not None and not settings.random:
        if settings.size != "nano":
            raise AsyncVLAError(
                f"--size {settings.size} has no weights that ship here; add --random, or give --checkpoint"
            )
        settings = replace(settings, size=None)
    metrics = bench_policy(settings)
    metrics |= {name: getattr(settings, name) for name in ("threads", "device", "repetitions")}
    metrics |= provenance()
    table = Table("stage", "cached p50 (ms)", "p95", "uncached p50 (ms)", "p95", "ratio of p50")
    for stage in STAGES:
        cached, uncached = metrics["cached_ms"][stage], metrics.get("uncached_ms", {}).get(stage)
        row = [f"{cached['p50']:.1f}", f"{cached['p95']:.1f}"]
        if uncached:
            ratio = uncached["p50"] / cached["p50"]
            row += [f"{uncached['p50']:.1f}", f"{uncached['p95']:.1f}", f"{ratio:.1f}"]
        table.add_row(stage, *row)
    console, roofline = Console(stderr=True), metrics["roofline"]
    console.print(table)
    console.print(
        f"{metrics['parameters']:,} parameters, {metrics['dtype']}, {metrics['memory_peak_gb']} GB; a step "
        f"takes {metrics['per_step_ms']:.2f} ms, {roofline['ratio']:.1f} times what "
        f"{roofline['copy_bandwidth_gb_s']} GB/s of memory allow"
    )
    decided, own = metrics["inference_ms"]["total"], metrics["strategy"]
    console.print(
        f"an inference by the checkpoint's strategy ({own['mode']}, {own['denoise_steps']} steps of a draft, "
        f"best of {own['best_of']}): {decided['p50']:.1f} ms (p95 {decided['p95']:.1f}), "
        f"{metrics['inference_per_prefix']:.2f} times its own prefix pass"
    )
    write_json(metrics, json_out)


@bench_app.command("data")
@with_settings
def bench_data_command(settings: DataSettings, json_out: JsonOption = None) -> None:
    """Time the loader of training alone, and the memory that it takes."""
    import torch
    from rich.console import Console

    from asyncvla_ros.bench.data import bench_data
    from asyncvla_ros.common.provenance import provenance

    # As a worker has, and each process of a training on a CPU.
    torch.set_num_threads(1)
    metrics = bench_data(settings)
    Console(stderr=True).print(
        f"{metrics['samples_per_s']:.0f} samples/s, {metrics['peak_rss_mb']:.0f} MB, "
        f"{settings.workers} workers"
    )
    asked = {name: getattr(settings, name) for name in ("batch", "image_size", "decode")}
    write_json(metrics | asked | provenance(), json_out)


@bench_app.command("runtimes")
@with_settings
def bench_runtimes_command(settings: RuntimeSettings, json_out: JsonOption = None) -> None:
    """Time nano's prefix and draft on this CPU: torch, ONNX Runtime, torch.compile, as far as installed."""
    from rich.console import Console
    from rich.table import Table

    from asyncvla_ros.bench.runtimes import bench_runtimes
    from asyncvla_ros.common.provenance import provenance

    metrics = bench_runtimes(settings.repetitions, settings.threads)
    table = Table("runtime", "prefix p50 (ms)", "draft p50", "both p50", "both p95", "largest difference")
    for name, row in metrics["ms"].items():
        cells = (row["prefix"]["p50"], row["draft"]["p50"], row["both"]["p50"], row["both"]["p95"])
        table.add_row(name, *(f"{cell:.1f}" for cell in cells), f"{row['error']:.1e}")
    console = Console(stderr=True)
    console.print(table)
    for name, reason in metrics["missing"].items():
        console.print(f"{name}: {reason}")
    write_json(metrics | asdict(settings) | provenance(), json_out)


@bench_app.command("transport")
@with_settings
def bench_transport_command(settings: TransportSettings, json_out: JsonOption = None) -> None:
    """Send camera images from process to process, with Fast DDS as it comes and with the shipped profile."""
    from rich.console import Console
    from rich.table import Table

    from asyncvla_ros.common.provenance import provenance
    from asyncvla_ros.ros.bench.transport import bench_transport

    metrics = bench_transport(settings)
    table = Table("Fast DDS", "sent", "received", "p50 (ms)", "p95 (ms)", "p99 (ms)")
    for name in ("default", "profile"):
        run = metrics[name]
        cells = (f"{run[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
        table.add_row(name, str(run["sent"]), str(run["received"]), *cells)
    Console(stderr=True).print(table)
    write_json(metrics | provenance(), json_out)


@bench_app.command("stack")
@with_settings
def bench_stack_command(settings: StackSettings, json_out: JsonOption = None) -> None:
    """Time the ROS graph from camera stamp to command, with a policy that costs nothing."""
    from rich.console import Console
    from rich.table import Table

    from asyncvla_ros.common.provenance import provenance
    from asyncvla_ros.ros.bench.stack import bench_stack

    metrics = bench_stack(settings)
    table = Table("stage", "p50 (ms)", "p95 (ms)", "p99 (ms)")
    for name, times in metrics.items():
        if name.endswith("_ms"):
            label = name.removesuffix("_ms").replace("_", " ")
            table.add_row(label, *(f"{times[key]:.2f}" for key in ("p50", "p95", "p99")))
    Console(stderr=True).print(table)
    write_json(metrics | provenance(), json_out)


@bench_app.command("faults")
@with_settings
def bench_faults_command(settings: FaultSettings, json_out: JsonOption = None) -> None:
    """Kill, freeze and restart what moves an arm; 1 unless it is held in time, and moves again."""
    from rich.console import Console
    from rich.table import Column, Table

    from asyncvla_ros.common.provenance import provenance
    from asyncvla_ros.ros.bench.faults import bench_faults

    console = Console(stderr=True)
    metrics = bench_faults(settings, lambda line: console.print(line, highlight=False, soft_wrap=True))
    cases = {name: metrics[name] for name in settings.cases}
    # As wide as 80 columns, whole names included.
    columns = ("passed", "stalled", "held p50/max/limit", "still", "again p50/max")
    table = Table(Column("case", no_wrap=True), *columns, title="Times in ms", box=None)
    for name, case in cases.items():
        held, still, again = (case[f"{key}_ms"] or {} for key in ("held", "standstill", "recovered"))
        times = (
            (held.get("p50"), held.get("max"), case["limit_ms"]),
            (still.get("max"),),
            (again.get("p50"), again.get("max")),
        )
        cells = (" / ".join("-" if ms is None else f"{ms:.0f}" for ms in group) for group in times)
        table.add_row(name, f"{case['passed']}/{case['n']}", str(case["stalled"]), *cells)
    console.print(table)
    write_json(metrics | provenance(), json_out)
    failed = {name: case["problems"] for name, case in cases.items() if case["problems"]}
    if failed:
        raise RunError("; ".join(f"{name}: {', '.join(problems)}" for name, problems in failed.items()))


@bench_app.command("safety")
@with_settings
def bench_safety_command(settings: SafetySettings, json_out: JsonOption = None) -> None:
    """Send adversarial chunks, faults and restarts through every contract; 1 if a driver broke a limit."""
    from rich.console import Console
    from rich.table import Table

    from asyncvla_ros.bench.safety import bench_safety, is_clean
    from asyncvla_ros.common.provenance import provenance

    metrics = bench_safety(settings.chunks, settings.seed, processes=settings.processes) | provenance()
    console = Console(stderr=True)
    table = Table("contract", "chunks", "accepted", "commands", "violations", "exceptions", "CPU (s)")
    for name, arm in metrics["arms"].items():
        counts = (arm["chunks"], arm["accepted"], arm["commands"], sum(arm["violations"].values()))
        exceptions = sum(arm["exceptions"].values())
        table.add_row(name, *(f"{count:,}" for count in counts), str(exceptions), f"{arm['cpu_s']:.0f}")
    console.print(table)
    table = Table("driver", "samples", "violations", "largest jump (rad)")
    for name, driver in metrics["driver"].items():
        broken = sum(driver["violations"].values())
        table.add_row(name, f"{driver['samples']:,}", str(broken), f"{driver['jump_rad_max']:.3g}")
    console.print(table)
    write_json(metrics, json_out)
    if not is_clean(metrics):
        kinds = ", ".join(f"{kind} {count}" for kind, count in metrics["violations"].items() if count)
        raise RunError(f"violations: {kinds or 'none'}; exceptions: {metrics['exceptions']}")
