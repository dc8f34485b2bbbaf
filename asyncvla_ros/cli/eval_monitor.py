"""``asyncvla eval monitor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncvla_ros.cli.options import JsonOption, write_json
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.report.monitor_settings import MonitorSettings
from asyncvla_ros.types import AsyncVLAError


@with_settings
def eval_monitor(
    files: Annotated[list[Path], typer.Argument(help="JSON files of `asyncvla eval libero`, of one policy.")],
    settings: MonitorSettings,
    json_out: JsonOption = None,
) -> None:
    """See whether failures announce themselves: chooses a limit on successes, measures on other episodes."""
    from rich.console import Console

    from asyncvla_ros.common.provenance import provenance
    from asyncvla_ros.model.checkpoint_files import fingerprint
    from asyncvla_ros.observe.episode_monitor import save_limits
    from asyncvla_ros.report.monitor import monitor_metrics, watched_episodes

    episodes, policy = watched_episodes(files)
    write = settings.write
    if write is not None and (own := fingerprint(write)) != policy:
        raise AsyncVLAError(f"--write {write} is the checkpoint {own}, but the episodes are of {policy}")
    metrics, limits = monitor_metrics(episodes, settings.window, settings.alpha, settings.signals)
    if write is not None:
        save_limits(write, limits)
    ranked, alarms = metrics["auroc_within_task"], metrics["true_alarms"]
    Console(stderr=True).print(
        f"AUROC of failure within tasks {ranked['score']:.3f} (first {metrics['early']} inferences: "
        f"{metrics['auroc_early_within_task']['score']:.3f}), failures seen {alarms['share']:.0%}, false "
        f"alarms {metrics['false_alarms']['share']:.0%}, {metrics['monitored']['failures']} failures in "
        f"{metrics['monitored']['episodes']} episodes"
    )
    write_json({**metrics, **provenance(), "checkpoint": policy}, json_out)
