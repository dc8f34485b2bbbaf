"""A collection of demonstrations or views: what to collect, and the parts it is made of.

Each part (some episodes of one task) is a LeRobot dataset of its own. Parts are worked off round-robin over
the tasks, so a partial collection is balanced, and a finished part is never touched again, so a rerun
continues where the last one stopped. A part depends on nothing but its settings, so several machines can
collect into one folder, each its shard of the parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asyncvla_ros.common.options import option, seed_option, shard_option, simulators_option
from asyncvla_ros.common.shard import Shard
from asyncvla_ros.common.written import shares
from asyncvla_ros.sim.expert.disturbance import DEFAULT_NOISE, NoiseSettings
from asyncvla_ros.sim.expert.grasp import MOST_STYLES
from asyncvla_ros.sim.libero.options import rendering_option, suite_option, tasks_option
from asyncvla_ros.sim.libero.placement import PLACEMENTS
from asyncvla_ros.sim.libero.tasks import task_indices
from asyncvla_ros.types import AsyncVLAError

#: Episodes of one dataset: views take a hundredth of the time of demonstrations.
EPISODES_PER_PART, VIEWS_PER_PART = 10, 200
#: A policy that has seen things in their usual places alone looks for them there and nowhere else.
DEFAULT_PLACEMENTS = ("official=0.2", "widened=0.2", "exchanged=0.2", "free=0.4")


@dataclass(frozen=True)
class CollectSettings:
    """What to collect and where.

    Attributes:
        suite: LIBERO suite.
        tasks: task indices; empty: all of the suite.
        episodes_per_task: demonstrations to keep per task.
        out: folder in which each part becomes a dataset.
        seed: determines every placement and disturbance.
        placements: kinds of placement (see ``libero.placement``), each with its share of the episodes.
        views: 0: demonstrations; else so many arrangements of each scene, see ``sim.views``, each an episode
            with a frame for each instruction.
        styles: ways to hold a bowl, of which each episode shows one, drawn at random and stored; 1: the best.
        episodes_per_part: episodes of one dataset; 0: as many as is usual.
        workers: processes.
        rendering: of meshes, ``decimated`` or ``full``, which on a CPU takes five times as long.
        rollout_policy: checkpoint of the policy that drives first; None: the expert alone.
        shard: which of the parts; the others are collected elsewhere.
    """

    suite: str = suite_option()
    tasks: tuple[int, ...] = tasks_option()
    episodes_per_task: int = option(40, "Demonstrations, or views, to keep per task.")
    out: Path = option(help="Folder of the datasets; a rerun continues.", kw_only=True)
    seed: int = seed_option()
    placements: tuple[tuple[str, float], ...] = option(
        DEFAULT_PLACEMENTS,
        "KIND=SHARE of official, widened, exchanged, free; repeatable.",
        read=partial(shares, option="--placements"),
    )
    views: int = option(
        0, "Not demonstrations: one view of each of so many arrangements of a scene, each an episode."
    )
    styles: int = option(1, "Ways to hold a bowl; each episode shows one.")
    episodes_per_part: int = 0
    workers: int = simulators_option()
    rendering: str = rendering_option("decimated")
    rollout_policy: Path | None = option(
        None, "DAgger: this policy drives first, the expert says what was right.", former="learner"
    )
    noise: NoiseSettings = DEFAULT_NOISE
    shard: Shard = shard_option()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", task_indices(self.suite, self.tasks))
        if not self.episodes_per_part:
            object.__setattr__(self, "episodes_per_part", VIEWS_PER_PART if self.views else EPISODES_PER_PART)
        if unknown := [kind for kind, _ in self.placements if kind not in PLACEMENTS]:
            raise AsyncVLAError(f"placement is {unknown[0]!r}, choose of {PLACEMENTS}")
        shares = [share for _, share in self.placements]
        if not shares or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise AsyncVLAError(f"placements have the shares {shares}, expected shares that add up to 1")
        if not 1 <= self.styles <= MOST_STYLES:
            raise AsyncVLAError(f"styles is {self.styles}, expected 1 to {MOST_STYLES}")
        if self.views < 0 or (self.views and (self.rollout_policy or self.styles > 1)):
            raise AsyncVLAError(
                f"views is {self.views} with the rollout policy {self.rollout_policy} and {self.styles} "
                "styles, expected 0, or a number of views of each scene with neither: nobody drives in a view"
            )


@dataclass(frozen=True)
class Part:
    """Episodes ``first`` to ``first + count - 1`` of one task."""

    task: int
    first: int
    count: int

    @property
    def name(self) -> str:
        """Folder of the dataset."""
        return f"task{self.task:02d}_{self.first:04d}"


@dataclass(frozen=True)
class PartReport:
    """What collecting a part took; ``wall_s`` in seconds."""

    part: Part
    episodes: int
    attempts: int
    frames: int
    wall_s: float


def plan_parts(settings: CollectSettings) -> tuple[Part, ...]:
    """Plan the parts of a collection in its shard, round-robin over the tasks."""
    if settings.episodes_per_task < 1 or settings.episodes_per_part < 1:
        raise AsyncVLAError(
            f"expected at least one episode per task and part, got {settings.episodes_per_task} "
            f"and {settings.episodes_per_part}"
        )
    parts = [
        Part(task, first, min(settings.episodes_per_part, settings.episodes_per_task - first))
        for first in range(0, settings.episodes_per_task, settings.episodes_per_part)
        for task in settings.tasks
    ]
    return settings.shard.take(parts, f"datasets of {settings.episodes_per_part} episodes of one task")
