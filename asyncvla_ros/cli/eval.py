"""The ``asyncvla eval`` commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asyncvla_ros.cli.eval_bridge import eval_bridge
from asyncvla_ros.cli.eval_monitor import eval_monitor
from asyncvla_ros.cli.options import (
    CheckpointOption,
    ConventionOption,
    JsonOption,
    StrategyOptions,
    write_json,
)
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.common.options import THREADS
from asyncvla_ros.common.written import key_values
from asyncvla_ros.sim.evaluation.expert_settings import ExpertSettings
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings
from asyncvla_ros.training.demo_settings import DemoEvalSettings
from asyncvla_ros.types import AsyncVLAError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog
    from asyncvla_ros.sim.libero.conventions import LiberoConventions

eval_app = typer.Typer(no_args_is_help=True, help="Measure a policy: in simulation, or on demonstrations.")
eval_app.command("bridge")(eval_bridge)
eval_app.command("monitor")(eval_monitor)


@eval_app.command("libero")
@with_settings
def eval_libero(
    settings: EvalSettings,
    strategy: StrategyOptions,
    checkpoint: CheckpointOption = None,
    convention: ConventionOption = None,
    json_out: JsonOption = None,
) -> None:
    """Run a policy on LIBERO's official initial states; with --json a rerun continues."""
    from asyncvla_ros.common.exclusive_lock import exclusive_lock
    from asyncvla_ros.model.checkpoint_files import fingerprint
    from asyncvla_ros.model.config import load_config
    from asyncvla_ros.paths import shipped_checkpoint
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog

    folder = checkpoint or shipped_checkpoint()
    settings = replace(
        _timed(settings, folder),
        strategy=strategy.complete(load_config(folder).strategy),
        checkpoint=fingerprint(folder),
        conventions=_conventions(folder, key_values(convention or [], "--convention")),
    )
    engine = "plain" if settings.strategy.needs_gradient else "auto"
    load = partial(Policy.from_checkpoint, checkpoint, settings.device, THREADS, engine)
    if json_out is None or str(json_out) == "-":
        write_json(_evaluate(settings, load), json_out)
        return
    with exclusive_lock(json_out.with_name(f"{json_out.name}.lock"), f"an evaluation into {json_out}"):
        log = EpisodeLog(json_out, settings, EpisodeResult)
        write_json(_evaluate(settings, load, log), json_out)
        log.close(settings)


def _timed(settings: EvalSettings, checkpoint: Path) -> EvalSettings:
    """Return settings with the ``n_action_steps`` or ``replan`` that counts; None: the checkpoint's own."""
    from asyncvla_ros.model.config import load_config
    from asyncvla_ros.sim.evaluation.timing import Timing

    delay, replan, n_action_steps = settings.delay, settings.replan, settings.n_action_steps
    if n_action_steps is not None and (delay or replan is not None):
        raise AsyncVLAError("--n-action-steps cannot be given with --delay or --replan; say --replan")
    model = load_config(checkpoint)
    timing = Timing.of(delay, replan, n_action_steps or model.n_action_steps, model.chunk_size)
    if delay:
        return replace(settings, n_action_steps=None, replan=timing.replan)
    own = timing.replan == model.n_action_steps
    return replace(settings, n_action_steps=None if own else timing.replan, replan=None)


def _conventions(checkpoint: Path, stated: dict[str, str]) -> LiberoConventions:
    """Return how a checkpoint sees and moves LIBERO; refuse it where its training data contradict."""
    from asyncvla_ros.model.checkpoint import load_stats
    from asyncvla_ros.robot.feature_file import load_features
    from asyncvla_ros.sim.libero.conventions import conventions_of, require_gripper_range

    features = load_features(checkpoint)
    conventions = conventions_of(features, stated)
    _, actions = load_stats(checkpoint, features)
    require_gripper_range(conventions, float(actions.q01[-1]))
    return conventions


def _evaluate(
    settings: EvalSettings, load: Callable[[], Policy], log: EpisodeLog[EpisodeResult] | None = None
) -> dict[str, Any]:
    """Evaluate with a progress bar, noting episodes in ``log`` and leaving out those that it has."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from asyncvla_ros.sim.evaluation.rollout import evaluate

    done = log.done(settings) if log else ()
    console = Console(stderr=True)
    columns = (TextColumn("eval"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("eval", total=len(settings.episodes), completed=len(done), text="")
        solved = [episode.success for episode in done]

        def report(episode: EpisodeResult) -> None:
            if log:
                log.append(episode)
            solved.append(episode.success)
            progress.update(bar, advance=1, text=f"{sum(solved)}/{len(solved)} solved")

        metrics = evaluate(load, settings, report, done)
    low, high = metrics["ci95"]
    console.print(_task_table(metrics))
    console.print(
        f"{settings.suite}, {settings.strategy.mode}: success {metrics['success_rate']:.1%} "
        f"(n = {metrics['n']}, 95 % interval {low:.1%} to {high:.1%}), inference p50 "
        f"{metrics['inference_ms']['p50']:.1f} ms, refined {metrics['refined_fraction']:.1%}"
    )
    return metrics


@eval_app.command("expert")
@with_settings
def eval_expert(settings: ExpertSettings, json_out: JsonOption = None) -> None:
    """Let the scripted expert, which knows all poses, solve tasks from random placements."""
    from rich.console import Console

    from asyncvla_ros.sim.evaluation.expert import evaluate_expert

    console = Console(stderr=True)

    def report(task: int, row: dict[str, Any]) -> None:
        steps = "" if row["mean_steps"] is None else f", {row['mean_steps']:.0f} steps"
        console.print(f"{settings.suite} {task}: {row['successes']}/{row['n']}{steps}")

    write_json(evaluate_expert(settings, report), json_out)


@eval_app.command("demos")
@with_settings
def eval_demos(settings: DemoEvalSettings, strategy: StrategyOptions, json_out: JsonOption = None) -> None:
    """Compare a policy with demonstrations that trained neither it nor its rater."""
    from rich.console import Console

    from asyncvla_ros.training.evaluate_demos import evaluate_demos

    metrics = evaluate_demos(replace(settings, strategy=strategy))
    console = Console(stderr=True)
    for name, accuracy in metrics["action_accuracy"].items():
        gripper = accuracy["gripper_accuracy"]
        console.print(
            f"{name}: mean absolute error {accuracy['mae']:.4f}"
            + ("" if gripper is None else f", gripper right {gripper:.1%}")
            + f" (n = {metrics['frames']} observations of {metrics['episodes']} episodes)"
        )
    if settings.loop_gain:
        gains = ", ".join(
            f"{row['same']:+.2f} ({kept} kept)" for kept, row in metrics["loop_gain"]["by_kept"].items()
        )
        console.print(f"loop gain: {gains}; expected below 0.3 before actions are committed")
    write_json(metrics, json_out)


def _task_table(metrics: dict[str, Any]) -> Any:
    from rich.table import Table

    from asyncvla_ros.sim.libero.tasks import list_tasks

    instructions = [task.instruction for task in list_tasks(metrics["suite"])]
    table = Table("task", "instruction", "solved", "95 % interval")
    for task, row in metrics["per_task"].items():
        low, high = row["ci95"]
        solved = f"{row['successes']}/{row['n']}"
        table.add_row(task, instructions[int(task)], solved, f"{low:.0%} to {high:.0%}")
    return table
