"""A simulated world without a simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from asyncvla_ros.sim.libero.conventions import OWN, LiberoConventions
from asyncvla_ros.sim.libero.tasks import Task
from asyncvla_ros.types import Observation


@dataclass
class FakeWorld:
    """The surface of ``LiberoEnv`` that an episode uses; solved after some control steps.

    Attributes:
        task: Of the suite.
        solved_after: So many control steps.
        executed: Actions of all steps.
        seen: Conventions of all observations.
    """

    task: Task
    solved_after: int
    steps: int = 0
    executed: list[np.ndarray] = field(default_factory=list)
    seen: list[LiberoConventions] = field(default_factory=list)

    #: Nothing that is carried, so nobody asks where the hand goes.
    scene = SimpleNamespace(goals=(("open", "drawer"),), object_names=tuple)

    @property
    def instruction(self) -> str:
        """What the task says."""
        return self.task.instruction

    @property
    def success(self) -> bool:
        """Whether it is solved."""
        return self.steps >= self.solved_after

    def __enter__(self) -> FakeWorld:
        return self

    def __exit__(self, *_: object) -> None: ...

    def reset_to_init(self, index: int, **_: object) -> None:
        """Begins anew; breaks at initial state 3."""
        self.steps = 0
        if index == 3:
            raise RuntimeError("the simulator broke")

    def observe(self, conventions: LiberoConventions = OWN) -> Observation:
        """Bright images."""
        self.seen.append(conventions)
        images = {key: np.full((224, 224, 3), 200, np.uint8) for key in ("agentview", "wrist")}
        return Observation(images, np.zeros(11, np.float32), self.instruction)

    def step(self, action: np.ndarray) -> None:
        """Execute an action (7,)."""
        self.steps += 1
        self.executed.append(action)
