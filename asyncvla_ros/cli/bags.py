"""``asyncvla replay`` and ``asyncvla record``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from asyncvla_ros.cli.options import (
    THREADS,
    CheckpointOption,
    DenoiseStepsOption,
    DeviceOption,
    JsonOption,
    RefineStepsOption,
    ThresholdOption,
    write_json,
)
from asyncvla_ros.types import AsyncVLAError

BagArgument = Annotated[Path, typer.Argument(help="Folder of rosbag2, or a single .mcap or .db3.")]
RobotOption = Annotated[str, typer.Option(help="Robot contract: a name in config/robots or a .yaml.")]
RecordedRobotOption = Annotated[
    str | None, typer.Option(help="Robot contract, as elsewhere; default: the one that was recorded.")
]
NamespaceOption = Annotated[
    str | None, typer.Option(help="Namespace of the robot in the recording; default: found.")
]
# What metrics.json and --json have in common.
JSON_KEYS = ("decisions", "compared_steps", "mae", "realtime_factor", "streams", "peak_rss_mb")


def replay(
    bag: BagArgument,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json, report.html and predictions.")],
    robot: RecordedRobotOption = None,
    checkpoint: CheckpointOption = None,
    instruction: Annotated[str | None, typer.Option(help="What to do; default: as recorded.")] = None,
    every: Annotated[
        float, typer.Option(min=0, help="Decide every so often (s); 0: on each observation.")
    ] = 0.0,
    at: Annotated[
        str, typer.Option(help="Decide on observations, or on those of the recorded chunks.")
    ] = "observations",
    target: Annotated[
        str,
        typer.Option(
            help="Compare with command, outputs, chunk, or state:K, the state K steps later; auto: the "
            "first of these that is recorded."
        ),
    ] = "auto",
    mode: Annotated[str | None, typer.Option(help="afm or sfm; default: as recorded, else afm.")] = None,
    threshold: ThresholdOption = None,
    denoise_steps: DenoiseStepsOption = None,
    refine_steps: RefineStepsOption = None,
    best_of: Annotated[int | None, typer.Option(min=1, help="Drafts; the most confident one counts.")] = None,
    commit: Annotated[
        bool | None, typer.Option(help="Keep the actions that are under way; default: as recorded.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the noise; default: as recorded, or 0.")] = None,
    namespace: NamespaceOption = None,
    max_age: Annotated[
        float | None, typer.Option(min=0.001, help="Of an observation (s); default: as recorded, or 0.5.")
    ] = None,
    max_skew: Annotated[
        float | None, typer.Option(min=0, help="Between its streams (s); default: as recorded, or 0.1.")
    ] = None,
    tip_link: Annotated[str, typer.Option(help="Link whose path is drawn, for joint actions.")] = "tool0",
    device: DeviceOption = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of an inference.")] = THREADS,
    json_out: JsonOption = None,
) -> None:
    """Have a policy decide on a recording, and compare with what was done; no ROS is needed."""
    from asyncvla_ros.bags.replay import ReplaySettings
    from asyncvla_ros.bags.replay_files import REPORT, recorded_deciding, run_replay
    from asyncvla_ros.data.robot_policy import Deciding
    from asyncvla_ros.strategy import Strategy

    chosen = {
        "mode": mode,
        "threshold": threshold,
        "denoise_steps": denoise_steps,
        "refine_steps": refine_steps,
        "best_of": best_of,
    }
    recorded = recorded_deciding(bag)
    strategy = Strategy(**_strategy_values(recorded, chosen))
    seed = seed if seed is not None else max(0, int(recorded.get("seed", 0)))
    commit = bool(recorded.get("commit", False)) if commit is None else commit
    settings = ReplaySettings(
        deciding=Deciding(strategy, seed, commit),
        instruction=instruction,
        namespace=namespace,
        every_s=every,
        at=at,
        target=target,
        max_age_s=recorded.get("max_observation_age_s", 0.5) if max_age is None else max_age,
        max_skew_s=recorded.get("max_skew_s", 0.1) if max_skew is None else max_skew,
        tip_link=tip_link,
    )
    out.mkdir(parents=True, exist_ok=True)
    with _progress("Replaying") as advance:
        figures = run_replay(bag, robot_of(bag, robot), out, settings, checkpoint, device, threads, advance)
    for problem in figures["problems"]:
        print(f"note: {problem}", file=sys.stderr)
    print(
        f"{figures['decisions']} decisions on {figures['recorded_s']:.1f} s, "
        f"{figures['realtime_factor']:.1f} times real time: {out / REPORT}"
    )
    write_json({key: figures[key] for key in JSON_KEYS}, json_out)


def robot_of(bag: Path, given: str | None) -> str:
    """The contract that was given, else the one that a recorder put beside the recording.

    Raises:
        AsyncVLAError: there is neither.
    """
    from asyncvla_ros.bags.episode import recorded_robot

    found = recorded_robot(bag) if given is None else None
    if given is None and found is None:
        raise AsyncVLAError(f"{bag} does not say which robot it is of; give its contract with --robot")
    return given or str(found)


def _strategy_values(recorded: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """What was chosen, else what was recorded: policy_node writes -1 and 0 for the checkpoint's own."""
    values: dict[str, Any] = {}
    values |= {key: recorded[key] for key in ("mode", "select", "rounds", "best_of") if key in recorded}
    values |= {key: recorded[key] or None for key in ("denoise_steps", "refine_steps") if key in recorded}
    if recorded.get("threshold", -1.0) >= 0:
        values["threshold"] = recorded["threshold"]
    return {**values, **{key: value for key, value in chosen.items() if value is not None}}


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


@contextmanager
def _progress(text: str) -> Iterator[Callable[[float], None]]:
    """A bar with the time left; nothing in a file or a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(text, total=1.0)
        yield lambda share: progress.update(task, completed=share)
