"""Settings of ``asyncvla demo``, in a file of their own so that the command line needs no ROS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import checkpoint_option, option, seed_option
from asyncvla_ros.sim.libero.options import inits_option, rendering_option, suite_option


@dataclass(frozen=True)
class DemoSettings:
    """What to show.

    Attributes:
        suite: LIBERO suite.
        task: Task index.
        inits: Official initial states, one episode each.
        mode: ``afm`` or ``sfm``; None: as the checkpoint says.
        checkpoint: None for the shipped one.
        out: Folder for video, timelines and logs.
        seed: Seed of the policy's noise.
        rendering: ``full`` (official) or ``decimated`` meshes.
        gif: Also write the first episode as an animation there.
        real_time_factor: Above 0 the world moves on during inference, at this rate; 0: it waits.
        record: Folder that receives a recording of each episode; None: nothing is recorded.
    """

    suite: str = suite_option()
    task: int = option(0, "Task index.")
    inits: tuple[int, ...] = inits_option("0-2")
    mode: str | None = option(None, "afm or sfm; default: as the checkpoint says.")
    checkpoint: Path | None = checkpoint_option()
    out: Path = option(Path("out/demo"), "Folder for video, timelines and logs.")
    seed: int = seed_option()
    rendering: str = rendering_option("full")
    gif: Path | None = option(None, "Also write the first episode as a GIF there.")
    real_time_factor: float = option(
        0.0, "Above 0 the world moves on at this rate; 0: it waits for each command."
    )
    record: Path | None = option(None, "Folder that receives a recording of each episode.")
