"""``asyncvla eval monitor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asyncvla_ros.cli.options import JsonOption, write_json
from asyncvla_ros.observe.episode_monitor import ALPHA, SIGNALS, WINDOW
from asyncvla_ros.types import AsyncVLAError


def eval_monitor(
    files: Annotated[list[Path], typer.Argument(help="JSON files of `asyncvla eval libero`, of one policy.")],
    json_out: JsonOption = None,
    window: Annotated[int, typer.Option(min=1, help="Inferences of a running mean.")] = WINDOW,
    alpha: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of successes that may raise an alarm.")
    ] = ALPHA,
    signal: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(SIGNALS)}; repeatable; default: all known.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Checkpoint folder that receives the limit; it must be the policy's.")
    ] = None,
) -> None:
    """See whether failures announce themselves: chooses a limit on successes, measures on other episodes."""
    from rich.console import Console

    from asyncvla_ros.common.provenance import provenance
    from asyncvla_ros.model.checkpoint import fingerprint
    from asyncvla_ros.observe.episode_monitor import save_limits
    from asyncvla_ros.report.monitor import monitor_metrics, watched_episodes

    names = tuple(signal or SIGNALS)
    if unknown := sorted(set(names) - set(SIGNALS)):
        raise AsyncVLAError(f"--signal is {', '.join(unknown)}, choose of {', '.join(SIGNALS)}")
    episodes, policy = watched_episodes(files)
    if write is not None and (own := fingerprint(write)) != policy:
        raise AsyncVLAError(f"--write {write} is the checkpoint {own}, but the episodes are of {policy}")
    metrics, limits = monitor_metrics(episodes, window, alpha, names)
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
