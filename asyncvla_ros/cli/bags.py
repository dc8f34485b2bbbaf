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
from asyncvla_ros.bags.replay_settings import ReplaySettings
from asyncvla_ros.cli.options import (
    THREADS,
    CheckpointOption,
    DeviceOption,
    JsonOption,
    StrategyOptions,
    write_json,
)
from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.common.worker_pool import CPUS
from asyncvla_ros.data.deciding import Deciding
from asyncvla_ros.observe.stream_sync import MAX_AGE_S, MAX_SKEW_S
from asyncvla_ros.ros.play_settings import PlaySettings
from asyncvla_ros.strategy import strategy_of_parameters
from asyncvla_ros.types import AsyncVLAError

BagArgument = Annotated[Path, typer.Argument(help="Folder of rosbag2, or a single .mcap or .db3.")]
RobotOption = Annotated[str, typer.Option(help="Robot contract: a name in config/robots or a .yaml.")]
RecordedRobotOption = Annotated[
    str | None, typer.Option(help="Robot contract, as elsewhere; default: the one that was recorded.")
]
# What metrics.json and --json have in common.
JSON_KEYS = ("decisions", "compared_steps", "mae", "realtime_factor", "streams", "peak_rss_mb")


@with_settings
def replay(
    bag: BagArgument,
    settings: ReplaySettings,
    strategy: StrategyOptions,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, report.html and predictions.")],
    robot: RecordedRobotOption = None,
    checkpoint: CheckpointOption = None,
    commit: Annotated[
        bool | None, typer.Option(help="Deprecated: --handover commit, or switch.", hidden=True)
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the noise; default: as recorded, or 0.")] = None,
    max_age: Annotated[
        float | None,
        typer.Option(min=0.001, help=f"Of an observation (s); default: as recorded, or {MAX_AGE_S}."),
    ] = None,
    max_skew: Annotated[
        float | None,
        typer.Option(min=0, help=f"Between its streams (s); default: as recorded, or {MAX_SKEW_S}."),
    ] = None,
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of an inference.")] = THREADS,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decide; default: one per CPU, one for a GPU.")
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
    seed = seed if seed is not None else max(0, int(recorded.get("seed", 0)))
    settings = replace(
        settings,
        deciding=Deciding(strategy, seed),
        max_age_s=recorded.get("max_observation_age_s", MAX_AGE_S) if max_age is None else max_age,
        max_skew_s=recorded.get("max_skew_s", MAX_SKEW_S) if max_skew is None else max_skew,
    )
    out.mkdir(parents=True, exist_ok=True)
    # Where the plan in execution makes a difference, inferences are made one after the other.
    reads_previous = load_config(checkpoint or shipped_checkpoint()).resolve(strategy).reads_previous
    processes = 1 if reads_previous else workers or (CPUS if device == "cpu" else 1)
    with _progress("Replaying") as advance:
        metrics = run_replay(
            bag,
            robot_of(bag, robot),
            out,
            settings,
            checkpoint=checkpoint,
            device=device,
            threads=threads,
            workers=processes,
            advance=advance,
        )
    for problem in metrics["problems"]:
        print(f"note: {problem}", file=sys.stderr)
    print(
        f"{metrics['decisions']} inferences on {metrics['recorded_s']:.1f} s, "
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


def record(
    robot: RobotOption,
    out: Annotated[Path, typer.Option(help="Folder that receives a folder for each episode.")],
    instruction: Annotated[str, typer.Option(help="What is to be done; default: what the chunks say.")] = "",
    around: Annotated[
        str, typer.Option(help="What else begins and ends episodes: tasks, episodes of a simulator, nothing.")
    ] = "tasks",
    namespace: Annotated[str, typer.Option(help="Of the robot's nodes.")] = "",
    use_sim_time: Annotated[bool, typer.Option(help="Follow /clock.")] = False,
) -> None:
    """Record episodes of a running robot: s starts one, y, n or d ends it, q quits."""
    from asyncvla_ros.ros.recorder.node import main

    values = {
        "robot": robot,
        "out": str(out.resolve()),
        "instruction": instruction,
        "around": around,
        "use_sim_time": use_sim_time,
        "keyboard": True,
        "autostart": True,
    }
    main(values, namespace)


@with_settings
def play(
    bag: BagArgument,
    settings: PlaySettings,
    robot: RecordedRobotOption = None,
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


def to_bag(
    dataset: Annotated[Path, typer.Argument(help="LeRobot dataset, v2.1 or v3.")],
    episode: Annotated[int, typer.Option(min=0, help="Its number.")],
    out: Annotated[Path, typer.Option(help="Folder of the recording.")],
    robot: Annotated[
        str | None, typer.Option(help="Robot contract; default: one is drafted, beside the recording.")
    ] = None,
    action_space: Annotated[
        str, typer.Option(help="Of a drafted contract: joint_position or delta_joint_position.")
    ] = "joint_position",
    images: Annotated[str, typer.Option(help="jpeg, png (nothing is lost) or raw.")] = "jpeg",
) -> None:
    """Make a recording of an episode of a LeRobot dataset."""
    import yaml

    from asyncvla_ros.bags.from_dataset import draft_contract, read_episode, write_bag
    from asyncvla_ros.paths import robot_file
    from asyncvla_ros.robot.contract_file import load_robot, parse_robot

    found = read_episode(dataset, episode)
    if robot is None:
        text = draft_contract(found, action_space)
        contract = parse_robot(yaml.safe_load(text), f"draft for {dataset}")
    else:
        file = robot_file(robot)
        contract, text = load_robot(file), file.read_text(encoding="utf-8")
    count = write_bag(found, out, contract, text, images=images)
    print(f"{count} frames of {found.instruction!r}: {out}")


@contextmanager
def _progress(text: str) -> Iterator[Callable[[float], None]]:
    """Show a bar with the time left; nothing in a file or a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(text, total=1.0)
        yield lambda share: progress.update(task, completed=share)
