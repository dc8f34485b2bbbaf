"""``asyncvla eval bridge``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncvla_ros.cli.options import CheckpointOption, JsonOption, StrategyOptions, write_json
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.common.options import THREADS
from asyncvla_ros.sim.simpler.bridge.results import EXPERT, BridgeEpisode, BridgeSettings

if TYPE_CHECKING:
    from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog
    from asyncvla_ros.sim.simpler.bridge.rollout import Actor


@with_settings
def eval_bridge(
    settings: BridgeSettings,
    strategy: StrategyOptions,
    checkpoint: CheckpointOption = None,
    *,
    expert: Annotated[
        bool, typer.Option("--expert", help="A scripted motion acts, which knows all poses.")
    ] = False,
    json_out: JsonOption = None,
) -> None:
    """Run a policy on SimplerEnv's Bridge tasks (WidowX, mani-skill); with --json a rerun continues."""
    from asyncvla_ros.common.exclusive_lock import exclusive_lock
    from asyncvla_ros.model.checkpoint_files import fingerprint
    from asyncvla_ros.model.config import load_config
    from asyncvla_ros.paths import shipped_checkpoint
    from asyncvla_ros.sim.evaluation.episode_log import EpisodeLog
    from asyncvla_ros.sim.simpler.bridge.rollout import require_placements
    from asyncvla_ros.sim.simpler.bridge.tasks import get_task, require_assets

    require_placements(settings)
    for name in settings.tasks:
        require_assets(get_task(name))
    policy = checkpoint or shipped_checkpoint()
    if expert:
        settings = replace(settings, checkpoint=EXPERT, strategy=strategy)
    else:
        strategy = strategy.complete(load_config(policy).strategy)
        settings = replace(settings, checkpoint=fingerprint(policy), strategy=strategy)
    if json_out is None or str(json_out) == "-":
        write_json(_evaluate(settings, policy), json_out)
        return
    with exclusive_lock(json_out.with_name(f"{json_out.name}.lock"), f"an evaluation into {json_out}"):
        log = EpisodeLog(json_out, settings, BridgeEpisode)
        write_json(_evaluate(settings, policy, log), json_out)
        log.close(settings)


def _evaluate(
    settings: BridgeSettings, checkpoint: Path, log: EpisodeLog[BridgeEpisode] | None = None
) -> dict[str, Any]:
    """Evaluate, telling each episode, noting them in ``log`` and leaving out those that it has."""
    from rich.console import Console

    from asyncvla_ros.sim.simpler.bridge.rollout import evaluate

    console = Console(stderr=True)
    finished = list(log.done(settings) if log else ())
    total = len(settings.episodes)

    def report(episode: BridgeEpisode) -> None:
        if log:
            log.append(episode)
        last, ever = ("yes" if won else "no" for won in (episode.success_last, episode.success_ever))
        finished.append(episode)
        console.print(
            f"{len(finished)}/{total} {episode.task} {episode.init}: "
            f"solved after the last step {last}, after any {ever}"
        )

    metrics = evaluate(settings, _actor(settings, checkpoint), report, tuple(finished))
    console.print(_table(metrics))
    return metrics


def _actor(settings: BridgeSettings, checkpoint: Path) -> Actor:
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.sim.simpler.bridge.rollout import PolicyActor, expert_actor

    if settings.checkpoint == EXPERT:
        return expert_actor(settings)
    policy = Policy.from_checkpoint(checkpoint, settings.device, THREADS)
    actor = PolicyActor(policy, settings)
    policy.warmup()
    return actor


def _table(metrics: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table("task", "n", "success (last step)", "success (ever)")
    rows = {**metrics["per_task"], "all": metrics} if len(metrics["per_task"]) > 1 else metrics["per_task"]
    for name, row in rows.items():
        cells = []
        for kind in ("success_last", "success_ever"):
            low, high = row[kind]["ci95"]
            cells.append(f"{row[kind]['rate']:.1%} (95 % {low:.0%} to {high:.0%})")
        table.add_row(name, str(row["n"]), *cells)
    return table
