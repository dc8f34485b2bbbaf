"""The ``asyncvla`` command. Exit codes: 0 done, 1 failed run, 2 bad usage; 130 after Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from asyncvla_ros.types import AsyncVLAError, RunError

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="AsyncVLA policies on ROS 2 robots."
)
eval_app = typer.Typer(no_args_is_help=True, help="Measure a policy in simulation.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure speed.")
app.add_typer(eval_app, name="eval")
app.add_typer(bench_app, name="bench")

CPUS = os.cpu_count() or 1
# Of torch, in each process: a network this small gains nothing from more, and loses much on a busy machine.
THREADS = 1
CACHE = Path(".cache/frames")

CheckpointOption = Annotated[Path | None, typer.Option(help="Checkpoint folder; default: the shipped one.")]
SuiteOption = Annotated[str, typer.Option(help="LIBERO suite.")]
TasksOption = Annotated[str, typer.Option(help="Task indices such as 0,1 or 0-4, or all.")]
InitsOption = Annotated[str, typer.Option(help="Official initial states such as 0-9.")]
ModeOption = Annotated[str, typer.Option(help="afm (refine what the rater doubts) or sfm.")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write figures there; - prints them.")]
DeviceOption = Annotated[str, typer.Option(help="torch device, such as cpu or cuda.")]


@eval_app.command("libero")
def eval_libero(
    checkpoint: CheckpointOption = None,
    suite: SuiteOption = "libero_object",
    tasks: TasksOption = "all",
    inits: InitsOption = "0-9",
    mode: ModeOption = "afm",
    seed: SeedOption = 0,
    json_out: JsonOption = None,
    video: Annotated[Path | None, typer.Option(help="Folder for one MP4 per episode.")] = None,
    workers: Annotated[int, typer.Option(help="Processes, each with a simulator.")] = CPUS,
    device: DeviceOption = "cpu",
    blank_images: Annotated[bool, typer.Option(help="Control: the policy sees black images.")] = False,
    displace: Annotated[float, typer.Option(help="Control: objects move by up to this much [m].")] = 0.0,
    wrong_instruction: Annotated[
        bool, typer.Option(help="Control: the policy is told the next task of the suite.")
    ] = False,
    select: Annotated[
        str, typer.Option(help="What afm refines: rater, random (as many) or variance (of denoising).")
    ] = "rater",
    threshold: Annotated[
        float | None, typer.Option(help="Refine below this confidence, or above this variance.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Refinements at most.")] = 1,
    denoise_steps: Annotated[int | None, typer.Option(help="Euler steps of a draft.")] = None,
    refine_steps: Annotated[int | None, typer.Option(help="Euler steps of a refinement.")] = None,
    best_of: Annotated[int, typer.Option(help="Drafts; the most confident one counts.")] = 1,
) -> None:
    """Run a policy on LIBERO's official initial states, in lockstep; with --json a rerun continues."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from asyncvla_ros.paths import shipped_checkpoint
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.sim.episode_log import EpisodeLog
    from asyncvla_ros.sim.evaluate import evaluate
    from asyncvla_ros.sim.results import Episode, EvalConfig
    from asyncvla_ros.strategy import Strategy

    chosen, states = task_indices(tasks, suite), indices(inits, "inits")
    strategy = Strategy(mode, select, threshold, rounds, denoise_steps, refine_steps, best_of)
    config = EvalConfig(
        suite,
        chosen,
        states,
        strategy,
        seed,
        video,
        workers,
        blank_images=blank_images,
        displace_m=displace,
        wrong_instruction=wrong_instruction,
    )
    log = None
    if json_out is not None and str(json_out) != "-":
        log = EpisodeLog(json_out, config, checkpoint or shipped_checkpoint())
    done = log.done(config) if log else ()
    console = Console(stderr=True)
    columns = (TextColumn("eval"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("eval", total=len(chosen) * len(states), completed=len(done), text="")
        solved = [episode.success for episode in done]

        def report(episode: Episode) -> None:
            if log:
                log.append(episode)
            solved.append(episode.success)
            progress.update(bar, advance=1, text=f"{sum(solved)}/{len(solved)} solved")

        load = partial(Policy.from_checkpoint, checkpoint, device, THREADS)
        figures = evaluate(load, config, report, done)
    low, high = figures["ci95"]
    console.print(
        f"{suite}, {mode}: success {figures['success_rate']:.1%} (n = {figures['n']}, 95 % interval "
        f"{low:.1%} to {high:.1%}), decision p50 {figures['tick_ms']['p50']:.1f} ms, "
        f"refined {figures['refined_fraction']:.1%}"
    )
    solved_tasks = (f"{task}: {row['successes']}/{row['n']}" for task, row in figures["per_task"].items())
    console.print(f"solved by task: {', '.join(solved_tasks)}")
    write_json(figures, json_out)
    if log:
        log.close()


@app.command()
def demo(
    suite: SuiteOption = "libero_object",
    task: Annotated[int, typer.Option(help="Task index.")] = 0,
    inits: InitsOption = "0-2",
    mode: ModeOption = "afm",
    checkpoint: CheckpointOption = None,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option(help="Folder for video, timelines and logs.")] = Path("out/demo"),
    headless: Annotated[bool, typer.Option(help="Plain lines instead of a live display.")] = False,
    rendering: Annotated[str, typer.Option(help="full (official) or decimated meshes.")] = "full",
    gif: Annotated[Path | None, typer.Option(help="Also write the first episode as a GIF there.")] = None,
    real_time_factor: Annotated[
        float, typer.Option(help="Above 0 the world moves on at this rate; 0: it waits for each command.")
    ] = 0.0,
    json_out: JsonOption = None,
) -> None:
    """Move the LIBERO arm over ROS 2: simulator, policy and controller, each a node of its own."""
    from rich.console import Console
    from rich.status import Status

    from asyncvla_ros.ros.demo.session import DemoSettings, Progress, run_demo

    console = Console(stderr=True)
    settings = DemoSettings(
        suite,
        task,
        indices(inits, "inits"),
        mode,
        checkpoint,
        out.resolve(),
        seed,
        rendering,
        gif,
        real_time_factor,
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
        figures = run_demo(settings, console.print, show)
    finally:
        status.stop()
    console.print(demo_table(figures))
    console.print(f"video and timelines: {out}")
    write_json(figures, json_out)


def demo_table(figures: dict[str, Any]) -> Any:
    """One row per episode."""
    from rich.table import Table

    table = Table("task", "init", "success", "steps", "mean confidence", "refined", "inference p50/p95 [ms]")
    for episode in figures["episodes"]:
        confidence = episode["mean_confidence"]
        table.add_row(
            f"{figures['suite']} {episode['task']}",
            str(episode["init"]),
            "[green]yes" if episode["success"] else "[red]no",
            str(episode["steps"]),
            "-" if confidence is None else f"{confidence:.2f}",
            f"{episode['refined_fraction'] or 0:.1%}",
            f"{episode['tick_ms']['p50']:.0f} / {episode['tick_ms']['p95']:.0f}",
        )
    return table


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


@app.command()
def collect(
    out: Annotated[Path, typer.Option(help="Folder of the datasets; a rerun continues.")],
    suite: SuiteOption = "libero_object",
    tasks: TasksOption = "all",
    episodes_per_task: Annotated[int, typer.Option(help="Demonstrations to keep per task.")] = 40,
    seed: SeedOption = 0,
    workers: Annotated[int, typer.Option(help="Processes.")] = CPUS,
    widen: Annotated[float, typer.Option(help="Displace objects by up to this much [m].")] = 0.04,
    learner: Annotated[
        Path | None, typer.Option(help="DAgger: this policy drives first, the expert says what was right.")
    ] = None,
) -> None:
    """Record demonstrations of the scripted expert as LeRobot v3 datasets (random placements only)."""
    from rich.console import Console

    from asyncvla_ros.sim.collect import CollectConfig, ShardReport
    from asyncvla_ros.sim.collect import collect as run

    console = Console(stderr=True)

    def report(shard: ShardReport, done: int, total: int) -> None:
        console.print(
            f"{done}/{total} {shard.shard.name}: {shard.episodes} of {shard.attempts} attempts, "
            f"{shard.frames} frames, {shard.wall_s:.0f} s"
        )

    run(
        CollectConfig(
            suite,
            task_indices(tasks, suite),
            episodes_per_task,
            out,
            seed,
            widen_m=widen,
            workers=workers,
            learner=learner,
        ),
        report,
    )


@app.command()
def train(
    data: Annotated[list[Path], typer.Option(help="LeRobot v3 dataset, or a folder of them; repeatable.")],
    out: Annotated[Path, typer.Option(help="Run folder; a rerun continues where it stopped.")],
    init: Annotated[
        Path | None, typer.Option(help="Begin with this checkpoint instead of from scratch.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 4500,
    batch: Annotated[int, typer.Option(help="Observations per step.")] = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    holdout: Annotated[float, typer.Option(help="Share of episodes kept for the rater.")] = 0.1,
    seed: SeedOption = 0,
    save_every: Annotated[int, typer.Option(help="Steps between saved states.")] = 250,
    log_every: Annotated[int, typer.Option(help="Steps between reports.")] = 25,
    processes: Annotated[int, typer.Option(help="Data-parallel processes.")] = CPUS,
    cache: Annotated[Path, typer.Option(help="Folder of decoded images.")] = CACHE,
) -> None:
    """Train the nano policy by unified synchronous and asynchronous flow matching."""
    from asyncvla_ros.training.train import TrainSettings
    from asyncvla_ros.training.train import train as run

    run(
        TrainSettings(
            data=tuple(data),
            out=out,
            init=init,
            steps=steps,
            batch=batch,
            lr=lr,
            holdout=holdout,
            seed=seed,
            save_every=save_every,
            log_every=log_every,
            processes=processes,
            cache=cache,
        )
    )


@app.command("train-rater")
def train_rater(
    data: Annotated[list[Path], typer.Option(help="What the policy was trained with; repeatable.")],
    checkpoint: Annotated[Path, typer.Option(help="The trained policy.")],
    out: Annotated[Path, typer.Option(help="Receives the policy with its rater; a rerun continues.")],
    label: Annotated[str, typer.Option(help="absolute, position, or relative as in the paper.")] = "absolute",
    drafts: Annotated[int, typer.Option(help="Drafts of each observation.")] = 1,
    variance: Annotated[bool, typer.Option(help="The rater also reads the denoising variance.")] = False,
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 600,
    batch: Annotated[int, typer.Option(help="Observations per step.")] = 64,
    holdout: Annotated[float, typer.Option(help="As in training; 0 uses every episode.")] = 0.1,
    seed: SeedOption = 0,
    save_every: Annotated[int, typer.Option(help="Steps between saved states.")] = 100,
    log_every: Annotated[int, typer.Option(help="Steps between reports.")] = 20,
    processes: Annotated[int, typer.Option(help="Data-parallel processes.")] = CPUS,
    cache: Annotated[Path, typer.Option(help="Folder of decoded images.")] = CACHE,
) -> None:
    """Train the confidence rater of a frozen policy, on episodes that were held out from it."""
    from asyncvla_ros.training.train_rater import RaterSettings
    from asyncvla_ros.training.train_rater import train_rater as run

    run(
        RaterSettings(
            data=tuple(data),
            checkpoint=checkpoint,
            out=out,
            label=label,
            drafts=drafts,
            variance=variance,
            steps=steps,
            batch=batch,
            holdout=holdout,
            seed=seed,
            save_every=save_every,
            log_every=log_every,
            processes=processes,
            cache=cache,
        )
    )


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder to read.")],
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
) -> None:
    """Copy a checkpoint with its weights in half precision, to ship it; it still computes in float32."""
    import torch

    from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint

    save_checkpoint(out, load_checkpoint(checkpoint), torch.float16)


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="Folder with JSON files of eval, bench and train-rater.")],
    out: Annotated[Path, typer.Option(help="Markdown to write; figures go beside it.")] = Path(
        "docs/results.md"
    ),
) -> None:
    """Render tables and figures from measured results."""
    from asyncvla_ros.report import report

    for file in report(folder, out):
        print(file)


def indices(text: str, what: str) -> tuple[int, ...]:
    """``0,2,5-7`` -> (0, 2, 5, 6, 7).

    Raises:
        AsyncVLAError: If the text is of another form.
    """
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise AsyncVLAError(f"--{what} is {text!r}, expected indices such as 0,2 or 0-9")
    chosen: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        chosen += range(int(first), int(last or first) + 1)
    if not chosen:
        raise AsyncVLAError(f"--{what} is {text!r}, which names nothing; expected indices such as 0,2 or 0-9")
    return tuple(dict.fromkeys(chosen))


def task_indices(text: str, suite: str) -> tuple[int, ...]:
    """Like ``indices``, with ``all`` for every task of the suite."""
    from asyncvla_ros.sim.tasks import list_tasks

    return tuple(range(len(list_tasks(suite)))) if text == "all" else indices(text, "tasks")


def write_json(figures: dict[str, Any], out: Path | None) -> None:
    """Write figures to a file, or print them for ``-``."""
    text = json.dumps(figures, indent=1)
    if out is None:
        return
    if str(out) == "-":
        print(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n")


def main() -> None:
    """Entry point: turns errors meant for the user into one line and an exit code."""
    try:
        app()
    except RunError as error:
        print(f"asyncvla: {error}", file=sys.stderr)
        sys.exit(1)
    except AsyncVLAError as error:
        print(f"asyncvla: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
