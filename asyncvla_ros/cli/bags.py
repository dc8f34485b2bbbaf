"""The ``asyncvla`` commands about recordings: replay, record, play, convert, to-bag."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from asyncvla_ros.bags.frame_settings import ConvertSettings, FrameSettings
from asyncvla_ros.bags.replay_settings import ComputeSettings, RecordedSettings, ReplaySettings
from asyncvla_ros.bags.to_bag_settings import ToBagSettings
from asyncvla_ros.cli.options import CheckpointOption, JsonOption, StrategyOptions, write_json
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.common.worker_pool import CPUS
from asyncvla_ros.ros.play_settings import PlaySettings
from asyncvla_ros.ros.record_settings import RecordSettings
from asyncvla_ros.strategy import strategy_of_parameters
from asyncvla_ros.types import AsyncVLAError

BagArgument = Annotated[Path, typer.Argument(help="Folder of rosbag2, or a single .mcap or .db3.")]
RecordedRobotOption = Annotated[
    str | None, typer.Option(help="Robot contract, as elsewhere; default: the one that was recorded.")
]
# What metrics.json and --json have in common.
JSON_KEYS = ("inferences", "compared_steps", "mae", "realtime_factor", "streams", "peak_rss_mb")


@with_settings
def replay(
    bag: BagArgument,
    settings: ReplaySettings,
    given: RecordedSettings,
    compute: ComputeSettings,
    strategy: StrategyOptions,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, report.html and predictions.")],
    robot: RecordedRobotOption = None,
    checkpoint: CheckpointOption = None,
    commit: Annotated[
        bool | None, typer.Option(help="Deprecated: --handover commit, or switch.", hidden=True)
    ] = None,
    json_out: JsonOption = None,
) -> None:
    """Have a policy decide on a recording, and compare with what was done; no ROS is needed."""
    from asyncvla_ros.bags.replay_files import REPORT, recorded_deciding, run_replay
    from asyncvla_ros.model.config import load_config
    from asyncvla_ros.paths import shipped_checkpoint

    recorded = recorded_deciding(bag)
    if commit is not None and strategy.handover is None:
        strategy = replace(strategy, handover="commit" if commit else "switch")
    strategy = strategy.over(asdict(strategy_of_parameters(recorded)))
    settings = given.complete(settings, strategy, recorded)
    out.mkdir(parents=True, exist_ok=True)
    # Where the plan in execution makes a difference, inferences are made one after the other.
    reads_previous = load_config(checkpoint or shipped_checkpoint()).resolve(strategy).reads_previous
    default = CPUS if compute.device == "cpu" else 1
    processes = 1 if reads_previous else compute.workers or default
    with _progress("Replaying") as advance:
        metrics = run_replay(
            bag,
            robot_of(bag, robot),
            out,
            settings,
            checkpoint=checkpoint,
            device=compute.device,
            threads=compute.threads,
            workers=processes,
            advance=advance,
        )
    for problem in metrics["problems"]:
        print(f"note: {problem}", file=sys.stderr)
    print(
        f"{metrics['inferences']} inferences on {metrics['recorded_s']:.1f} s, "
        f"{metrics['realtime_factor']:.1f} times real time: {out / REPORT}"
    )
    write_json({key: metrics[key] for key in JSON_KEYS}, json_out)


def robot_of(bag: Path, given: str | None) -> str:
    """Return the given contract, else the one that a recorder put beside the recording.

    Raises:
        AsyncVLAError: there is neither.
    """
    from asyncvla_ros.bags.episode import recorded_robot

    found = recorded_robot(bag) if given is None else None
    if given is None and found is None:
        raise AsyncVLAError(f"{bag} does not say which robot it is of; give its contract with --robot")
    return given or str(found)


@with_settings
def record(settings: RecordSettings) -> None:
    """Record episodes of a running robot: s starts one, y, n or d ends it, q quits."""
    from asyncvla_ros.ros.recorder.node import main

    values = {
        "robot": settings.robot,
        "out": str(settings.out.resolve()),
        "instruction": settings.instruction,
        "around": settings.around,
        "use_sim_time": settings.use_sim_time,
        "keyboard": True,
        "autostart": True,
    }
    main(values, settings.namespace)


@with_settings
def play(
    bag: BagArgument,
    settings: PlaySettings,
    robot: RecordedRobotOption = None,
    *,
    all_topics: Annotated[
        bool, typer.Option("--all", help="Also what nodes of this package publish: chunks, commands.")
    ] = False,
) -> None:
    """Play a recording to running nodes, with /clock; the space bar holds it, q ends it."""
    from asyncvla_ros.ros.player import play as run

    run(bag, None if all_topics else robot_of(bag, robot), settings)


@with_settings
def convert(
    bags: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
    out: Annotated[Path, typer.Option(help="LeRobot v3 dataset to write; a rerun continues.")],
    frames: FrameSettings,
    settings: ConvertSettings,
    robot: RecordedRobotOption = None,
    json_out: JsonOption = None,
) -> None:
    """Make a LeRobot dataset of recordings: what trains a policy is what a policy would have seen."""
    from asyncvla_ros.bags.convert import convert as run
    from asyncvla_ros.bags.reader import recordings
    from asyncvla_ros.paths import robot_file
    from asyncvla_ros.robot.contract_file import load_robot

    contracts = {
        found: load_robot(robot_file(robot_of(found, robot))) for bag in bags for found in recordings(bag)
    }
    done = run(
        list(contracts),
        contracts.__getitem__,
        out,
        replace(settings, frames=frames),
        say=print,
    )
    for problem in done.problems:
        print(f"note: {problem}", file=sys.stderr)
    for reason, count in done.dropped.most_common():
        print(f"{count} frames dropped: {reason}")
    for reason, names in done.skipped.items():
        print(f"{len(names)} recordings left out: {reason}")
    print(f"{done.episodes} episodes, {done.frames} frames: {out}")
    spaces = sorted({contract.action_space for contract in contracts.values()})
    print(f"train on it with --action-space {' or '.join(spaces)}")
    write_json({"episodes": done.episodes, "frames": done.frames, "dropped": dict(done.dropped)}, json_out)


@with_settings
def to_bag(
    dataset: Annotated[Path, typer.Argument(help="LeRobot dataset, v2.1 or v3.")], settings: ToBagSettings
) -> None:
    """Make a recording of an episode of a LeRobot dataset."""
    import yaml

    from asyncvla_ros.bags.from_dataset import draft_contract, read_episode, write_bag
    from asyncvla_ros.paths import robot_file
    from asyncvla_ros.robot.contract_file import load_robot, parse_robot

    found = read_episode(dataset, settings.episode)
    if settings.robot is None:
        text = draft_contract(found, settings.action_space)
        contract = parse_robot(yaml.safe_load(text), f"draft for {dataset}")
    else:
        file = robot_file(settings.robot)
        contract, text = load_robot(file), file.read_text(encoding="utf-8")
    count = write_bag(found, settings.out, contract, text, images=settings.images)
    print(f"{count} frames of {found.instruction!r}: {settings.out}")


@contextmanager
def _progress(text: str) -> Iterator[Callable[[float], None]]:
    """Show a bar with the time left; nothing in a file or a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(text, total=1.0)
        yield lambda share: progress.update(task, completed=share)
