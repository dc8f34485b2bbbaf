"""When a policy is asked, when its answer is there, and what is executed meanwhile.

::

    delay 2, replan 4      t   0  1  2  3  4  5  6  7  8  9
    observed                   A           B           C
    answer there                     A           B
    executed                   -  -  a2 a3 a4 a5 b2 b3 b4 b5    (-: dry; a5 is of the answer to A)

With a delay of 0 the world waits for each answer: the benchmark's lockstep.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.control.action_schedule import ActionSchedule, ScheduledAction
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.plan_memory import PlanMemory
from asyncvla_ros.types import ActionChunk, AsyncVLAError, Previous


@dataclass(frozen=True)
class Timing:
    """When observations are taken and answered.

    Attributes:
        delay: From an observation to its answer [control steps].
        replan: From one observation to the next [control steps].
    """

    delay: int
    replan: int

    @staticmethod
    def of(delay: int, replan: int | None, n_action_steps: int, chunk_size: int) -> Timing:
        """Check the timing that was asked for.

        Args:
            delay: [control steps]
            replan: [control steps]; None: ``n_action_steps`` in lockstep, else as often as the delay permits.
            n_action_steps: Actions executed of each chunk in lockstep.
            chunk_size: Actions of a chunk.

        Raises:
            AsyncVLAError: If an answer would come after the next observation, or the plan end before it.
        """
        if not 0 <= delay <= chunk_size // 2:
            raise AsyncVLAError(
                f"delay is {delay}, expected 0 to {chunk_size // 2}: the {chunk_size} actions of a chunk "
                "must last until the answer after the next one"
            )
        if replan is None:
            replan = delay or n_action_steps
        if not max(delay, 1) <= replan <= chunk_size - delay:
            raise AsyncVLAError(
                f"{'replan' if delay else 'n_action_steps'} is {replan}, expected {max(delay, 1)} to "
                f"{chunk_size - delay}, with the {chunk_size} actions of a chunk and a delay of {delay}"
            )
        return Timing(delay, replan)


class TimedPlan:
    """The plan of an episode: which answers are there, and what they have the robot do. Counts control steps.

    Args:
        timing: Of the answers.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._memory = PlanMemory()
        self._schedule = ActionSchedule()
        # The newest may be asked for at the very step at which the one before is there.
        self._coming: deque[StampedChunk] = deque()
        self._answers = 0

    def is_observed(self, step: int) -> bool:
        """Return whether an observation is taken at this step."""
        return step % self._timing.replan == 0

    def previous(self, step: int) -> Previous | None:
        """Return what the policy is told of the plan for an observation of this step."""
        return self._memory.previous(step)

    def answer(self, step: int, chunk: ActionChunk, actions: np.ndarray) -> None:
        """Note the answer to the observation of a step; it is executed when it is there.

        Args:
            step: When the observation was taken.
            chunk: The answer.
            actions: (l, d) the same, as the world obeys it.
        """
        self._memory.note(step, step + self._timing.delay, chunk.actions, chunk.draft)
        self._answers += 1
        self._coming.append(
            StampedChunk(0, self._answers, step, 1, action_space="", dof_names=(), actions=actions)
        )

    def due(self, step: int) -> ScheduledAction | None:
        """Return the action of a step with the number of its answer, from 1; None without one."""
        while self._coming and step >= self._coming[0].stamp_ns + self._timing.delay:
            self._schedule.merge(self._coming.popleft())
        return self._schedule.due(step)
