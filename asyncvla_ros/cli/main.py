"""The ``asyncvla`` command. Exit codes: 0 done, 1 failed run, 2 bad usage; 130 after Ctrl-C."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from asyncvla_ros.cli import bags
from asyncvla_ros.cli.bench import bench_app
from asyncvla_ros.cli.data import data as data_command
from asyncvla_ros.cli.data import show
from asyncvla_ros.cli.doctor import doctor
from asyncvla_ros.cli.eval import eval_app
from asyncvla_ros.cli.export import export
from asyncvla_ros.cli.init import init
from asyncvla_ros.cli.options import JsonOption, writable, write_json
from asyncvla_ros.cli.robot import check, new_robot
from asyncvla_ros.cli.serve import serve
from asyncvla_ros.cli.settings_command import settings_command, with_settings
from asyncvla_ros.model.config import AsyncVLAConfig, load_config
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.ros.demo.settings import DemoSettings
from asyncvla_ros.sim.collection import CollectSettings, PartReport
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.training.rater_settings import RaterSettings
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.types import AsyncVLAError, RunError

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="AsyncVLA policies on ROS 2 robots."
)
app.add_typer(eval_app, name="eval")
app.add_typer(bench_app, name="bench")
app.command()(check)
app.command()(doctor)
app.command("data")(data_command)
app.command("new-robot")(new_robot)
app.command()(init)
app.command()(export)
app.command()(serve)
for command in (bags.replay, bags.record, bags.play, bags.convert):
    app.command()(command)
app.command("to-bag")(bags.to_bag)


@app.command()
@with_settings
def demo(
    settings: DemoSettings,
    *,
    headless: Annotated[bool, typer.Option(help="Plain lines instead of a live display.")] = False,
    json_out: JsonOption = None,
) -> None:
    """Move the LIBERO arm over ROS 2: simulator, policy and controller, each a node of its own."""
    from rich.console import Console
    from rich.status import Status

    from asyncvla_ros.ros.demo.session import Progress, run_demo

    console = Console(stderr=True)
    own = Strategy().complete(load_config(settings.checkpoint or shipped_checkpoint()).strategy)
    out, record = settings.out, settings.record
    settings = replace(
        settings,
        mode=settings.mode or own.mode,
        out=out.resolve(),
        record=None if record is None else record.resolve(),
    )
    status = Status("", console=console)

    def show(progress: Progress) -> None:
        confidence = "" if progress.confidence is None else f"  confidence {progress.confidence:.2f}"
        status.update(
            f"initial state {progress.init}  step {progress.step}/{progress.max_steps}{confidence}"
            f"  refined {progress.refined:.0%}"
        )

    if not headless:
        status.start()
    try:
        metrics = run_demo(settings, console.print, show)
    finally:
        status.stop()
    console.print(demo_table(metrics))
    console.print(f"video and timelines: {out}")
    write_json(metrics, json_out)


def demo_table(metrics: dict[str, Any]) -> Any:
    """Make a table with one row per episode."""
    from rich.table import Table

    table = Table("task", "init", "success", "steps", "mean confidence", "refined", "inference p50/p95 (ms)")
    for episode in metrics["episodes"]:
        confidence = episode["mean_confidence"]
        table.add_row(
            f"{metrics['suite']} {episode['task']}",
            str(episode["init"]),
            "[green]yes" if episode["success"] else "[red]no",
            str(episode["steps"]),
            "-" if confidence is None else f"{confidence:.2f}",
            f"{episode['refined_fraction'] or 0:.1%}",
            f"{episode['inference_ms']['p50']:.0f} / {episode['inference_ms']['p95']:.0f}",
        )
    return table


@app.command()
@with_settings
def collect(config: CollectSettings) -> None:
    """Record demonstrations of the scripted expert as LeRobot v3 datasets (random placements only)."""
    from rich.console import Console

    from asyncvla_ros.sim.collect import collect as run

    console = Console(stderr=True)

    def report(collected: PartReport, done: int, total: int) -> None:
        console.print(
            f"{done}/{total} {collected.part.name}: {collected.episodes} of {collected.attempts} attempts, "
            f"{collected.frames} frames, {collected.wall_s:.0f} s"
        )

    run(config, report)


def _train(settings: TrainSettings) -> None:
    from asyncvla_ros.training.train import train

    show(list(settings.data), settings.chunk_size or AsyncVLAConfig.chunk_size)
    train(settings)


def _train_rater(settings: RaterSettings) -> None:
    from asyncvla_ros.training.train_rater import train_rater

    train_rater(settings)


app.command("train")(
    settings_command(
        TrainSettings, _train, "Train a policy by unified synchronous and asynchronous flow matching."
    )
)
app.command("train-rater")(
    settings_command(
        RaterSettings,
        _train_rater,
        "Train the confidence rater of a frozen policy, on episodes that were held out from it.",
    )
)


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder with JSON files of eval, bench and train-rater.")],
    out: Annotated[
        Path | None,
        typer.Option(
            callback=writable, help="Markdown to write, figures beside it; default: FOLDER/results.md."
        ),
    ] = None,
) -> None:
    """Render tables and figures from measured results."""
    from asyncvla_ros.report import report

    for file in report(folder, out or folder / "results.md"):
        print(file)


def main() -> None:
    """Run a command; turn errors meant for the user into one line and an exit code."""
    try:
        app()
    except RunError as error:
        print(f"asyncvla: {error}", file=sys.stderr)
        sys.exit(1)
    except AsyncVLAError as error:
        print(f"asyncvla: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # Of the operating system: a disk that is full, a file that may not be read, a name that is too long.
        print(f"asyncvla: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
