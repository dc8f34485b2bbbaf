"""The ``asyncvla eval`` commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncvla_ros.cli.eval_bridge import eval_bridge
from asyncvla_ros.cli.eval_monitor import eval_monitor
from asyncvla_ros.cli.options import (
    CACHE,
    CPUS,
    THREADS,
    CacheOption,
    CheckpointOption,
    ConventionOption,
    DeviceOption,
    ExecuteStepsOption,
    FreshOption,
    InitsOption,
    JsonOption,
    PlacementOption,
    SeedOption,
    ShardOption,
    SkipBrokenOption,
    SuiteOption,
    TasksOption,
    WorkersOption,
    indices,
    key_values,
    task_indices,
    write_json,
)
from asyncvla_ros.cli.strategy_options import with_strategy
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog
    from asyncvla_ros.sim.evaluation.results import Episode, EvalConfig
    from asyncvla_ros.sim.libero.conventions import LiberoConventions

eval_app = typer.Typer(no_args_is_help=True, help="Measure a policy: in simulation, or on demonstrations.")
eval_app.command("bridge")(eval_bridge)
eval_app.command("monitor")(eval_monitor)


@eval_app.command("libero")
@with_strategy
def eval_libero(
    checkpoint: CheckpointOption = None,
    suite: SuiteOption = "libero_object",
    tasks: TasksOption = "all",
    inits: InitsOption = "0-9",
    seed: SeedOption = 0,
    json_out: JsonOption = None,
    video: Annotated[Path | None, typer.Option(help="Folder for one MP4 per episode.")] = None,
    workers: WorkersOption = CPUS,
    device: DeviceOption = "cpu",
    blank_images: Annotated[bool, typer.Option(help="Control: the policy sees black images.")] = False,
    displace: Annotated[
        float, typer.Option(min=0, help="Control: objects move by up to this much (m).")
    ] = 0.0,
    wrong_instruction: Annotated[
        bool, typer.Option(help="Control: the policy is told the next task of the suite.")
    ] = False,
    random_placements: Annotated[
        bool, typer.Option(help="Random placements instead of official states, for choices to be tested.")
    ] = False,
    placement: PlacementOption = "official",
    rendering: Annotated[str, typer.Option(help="full (official) or decimated meshes.")] = "full",
    convention: ConventionOption = None,
    shard: ShardOption = "1/1",
    execute_steps: ExecuteStepsOption = None,
    delay: Annotated[
        int, typer.Option(min=0, help="Control steps until an answer is there; 0: the world waits.")
    ] = 0,
    replan: Annotated[
        int | None,
        typer.Option(min=1, help="Control steps from one observation to the next; default: the delay."),
    ] = None,
    world: Annotated[
        str, typer.Option(help="still, or what happens in it: jump, drift (of the target), kicks.")
    ] = "still",
    *,
    strategy: Strategy,
) -> None:
    """Run a policy on LIBERO's official initial states; with --json a rerun continues."""
    from asyncvla_ros.common.shard import Shard
    from asyncvla_ros.common.sole_writer import sole_writer
    from asyncvla_ros.model.checkpoint import fingerprint
    from asyncvla_ros.model.config import load_config
    from asyncvla_ros.paths import shipped_checkpoint
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog
    from asyncvla_ros.sim.evaluation.results import Episode, EvalConfig

    chosen, states, share = task_indices(tasks, suite), indices(inits, "inits"), Shard.parse(shard)
    folder = checkpoint or shipped_checkpoint()
    execute_steps, replan = _timing(folder, delay, replan, execute_steps)
    config = EvalConfig(
        suite,
        chosen,
        states,
        strategy.complete(load_config(folder).strategy),
        seed,
        video,
        workers,
        blank_images=blank_images,
        displace_m=displace,
        wrong_instruction=wrong_instruction,
        random_placements=random_placements or placement != "official",
        placement=placement,
        render=rendering,
        execute_steps=execute_steps,
        checkpoint=fingerprint(folder),
        device=device,
        conventions=_conventions(folder, key_values(convention or [], "--convention")),
        shard=share,
        delay=delay,
        replan=replan,
        world=world,
    )
    load = partial(Policy.from_checkpoint, checkpoint, device, THREADS)
    if json_out is None or str(json_out) == "-":
        write_json(_evaluate(config, load), json_out)
        return
    with sole_writer(json_out.with_name(f"{json_out.name}.lock"), f"an evaluation into {json_out}"):
        log = EpisodeLog(json_out, config, Episode)
        write_json(_evaluate(config, load, log), json_out)
        log.close(config)


def _timing(
    checkpoint: Path, delay: int, replan: int | None, execute_steps: int | None
) -> tuple[int | None, int | None]:
    """``execute_steps`` and ``replan`` of a configuration, of which only one is used."""
    from asyncvla_ros.model.config import load_config
    from asyncvla_ros.sim.evaluation.timing import Timing

    if execute_steps is not None and (delay or replan is not None):
        raise AsyncVLAError("--execute-steps cannot be given with --delay or --replan; say --replan")
    model = load_config(checkpoint)
    timing = Timing.of(delay, replan, execute_steps or model.execute_steps, model.action_chunk_size)
    if delay:
        return None, timing.replan
    return (replan if execute_steps is None else execute_steps), None


def _conventions(checkpoint: Path, stated: dict[str, str]) -> LiberoConventions:
    """In which a checkpoint sees and moves LIBERO; refused where its training data contradict."""
    from asyncvla_ros.model.checkpoint import load_stats
    from asyncvla_ros.robot.feature_file import load_features
    from asyncvla_ros.sim.libero.conventions import conventions_of, require_gripper_range

    features = load_features(checkpoint)
    conventions = conventions_of(features, stated)
    _, actions = load_stats(checkpoint, features)
    require_gripper_range(conventions, float(actions.q01[-1]))
    return conventions


def _evaluate(
    config: EvalConfig, load: Callable[[], Policy], log: EpisodeLog[Episode] | None = None
) -> dict[str, Any]:
    """Evaluate with a progress bar, noting episodes in ``log`` and leaving out those that it has."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from asyncvla_ros.sim.evaluation.rollout import evaluate

    done = log.done(config) if log else ()
    console = Console(stderr=True)
    columns = (TextColumn("eval"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("eval", total=len(config.episodes), completed=len(done), text="")
        solved = [episode.success for episode in done]

        def report(episode: Episode) -> None:
            if log:
                log.append(episode)
            solved.append(episode.success)
            progress.update(bar, advance=1, text=f"{sum(solved)}/{len(solved)} solved")

        figures = evaluate(load, config, report, done)
    low, high = figures["ci95"]
    console.print(_task_table(figures))
    console.print(
        f"{config.suite}, {config.strategy.mode}: success {figures['success_rate']:.1%} "
        f"(n = {figures['n']}, 95 % interval {low:.1%} to {high:.1%}), decision p50 "
        f"{figures['tick_ms']['p50']:.1f} ms, refined {figures['refined_fraction']:.1%}"
    )
    return figures


@eval_app.command("expert")
def eval_expert(
    suite: SuiteOption = "libero_object",
    tasks: TasksOption = "all",
    episodes: Annotated[int, typer.Option(min=1, help="Random placements per task.")] = 20,
    seed: SeedOption = 0,
    placement: PlacementOption = "widened",
    disturbed: Annotated[bool, typer.Option(help="With the noise of a collection.")] = False,
    workers: WorkersOption = CPUS,
    json_out: JsonOption = None,
) -> None:
    """Let the scripted expert, which knows all poses, solve tasks from random placements."""
    from rich.console import Console

    from asyncvla_ros.sim.evaluation.expert import ExpertConfig, evaluate_expert

    console = Console(stderr=True)

    def report(task: int, row: dict[str, Any]) -> None:
        steps = "" if row["mean_steps"] is None else f", {row['mean_steps']:.0f} steps"
        console.print(f"{suite} {task}: {row['successes']}/{row['n']}{steps}")

    config = ExpertConfig(suite, task_indices(tasks, suite), episodes, seed, placement, disturbed, workers)
    write_json(evaluate_expert(config, report), json_out)


@eval_app.command("demos")
@with_strategy
def eval_demos(
    data: Annotated[list[Path], typer.Option(help="What the policy was trained on; repeatable.")],
    checkpoint: CheckpointOption = None,
    fresh: FreshOption = False,
    frames: Annotated[int, typer.Option(min=1, help="Observations at most.")] = 500,
    seed: SeedOption = 0,
    json_out: JsonOption = None,
    device: DeviceOption = "cpu",
    cache: CacheOption = CACHE,
    skip_broken: SkipBrokenOption = False,
    loop_gain: Annotated[
        bool, typer.Option("--loop-gain", help="Also how an action answers those kept before it.")
    ] = False,
    *,
    strategy: Strategy,
) -> None:
    """Compare a policy with demonstrations that trained neither it nor its rater."""
    from rich.console import Console

    from asyncvla_ros.paths import shipped_checkpoint
    from asyncvla_ros.training.evaluate_demos import DemoSettings, evaluate_demos

    figures = evaluate_demos(
        DemoSettings(
            tuple(data),
            checkpoint or shipped_checkpoint(),
            strategy,
            fresh,
            frames,
            seed,
            device,
            THREADS,
            cache,
            skip_broken,
            loop_gain,
        )
    )
    console = Console(stderr=True)
    for name, accuracy in figures["action_accuracy"].items():
        gripper = accuracy["gripper_accuracy"]
        console.print(
            f"{name}: mean absolute error {accuracy['mae']:.4f}"
            + ("" if gripper is None else f", gripper right {gripper:.1%}")
            + f" (n = {figures['frames']} observations of {figures['episodes']} episodes)"
        )
    if loop_gain:
        gains = ", ".join(
            f"{row['same']:+.2f} ({kept} kept)" for kept, row in figures["loop_gain"]["by_kept"].items()
        )
        console.print(f"loop gain: {gains}; expected below 0.3 before actions are committed")
    write_json(figures, json_out)


def _task_table(figures: dict[str, Any]) -> Any:
    from rich.table import Table

    from asyncvla_ros.sim.libero.tasks import list_tasks

    instructions = [task.instruction for task in list_tasks(figures["suite"])]
    table = Table("task", "instruction", "solved", "95 % interval")
    for task, row in figures["per_task"].items():
        low, high = row["ci95"]
        solved = f"{row['successes']}/{row['n']}"
        table.add_row(task, instructions[int(task)], solved, f"{low:.0%} to {high:.0%}")
    return table
