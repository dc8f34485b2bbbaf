"""What is measured of the scripted expert; apart, so that the command line needs no simulator."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.common.options import option, seed_option, simulators_option
from asyncvla_ros.sim.libero.options import placement_option, suite_option, tasks_option
from asyncvla_ros.sim.libero.tasks import task_indices


@dataclass(frozen=True)
class ExpertSettings:
    """What to measure.

    Attributes:
        suite: LIBERO suite.
        tasks: task indices; empty: all of the suite.
        episodes: random placements per task.
        seed: determines placements and disturbances.
        placement: of the objects, see ``libero.placement``.
        disturbed: execute noise, kicks and slips as in a collection.
        workers: processes.
    """

    suite: str = suite_option()
    tasks: tuple[int, ...] = tasks_option()
    episodes: int = option(20, "Random placements per task.", 1)
    seed: int = seed_option()
    placement: str = placement_option("widened")
    disturbed: bool = option(False, "With the noise of a collection.")
    workers: int = simulators_option()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", task_indices(self.suite, self.tasks))
