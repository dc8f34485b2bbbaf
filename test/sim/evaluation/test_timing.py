from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.sim.evaluation.timing import TimedPlan, Timing
from asyncvla_ros.types import ActionChunk, AsyncVLAError, StageTimes

LENGTH = 8


def executed(timing: Timing, steps: int) -> list[str]:
    """Return the actions of a plan: letter of the answer and place in it, or ``-`` for a step without one.

    Every answer is checked to have been told of the plan that goes on.
    """
    plan, done, letters = TimedPlan(timing), list[str](), iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for step in range(steps):
        if plan.is_observed(step):
            letter = next(letters)
            places = np.arange(LENGTH, dtype=np.float32)[:, None]
            chunk = ActionChunk(
                places, None, np.zeros(LENGTH, bool), 0, StageTimes(0, 0, 0, 0, 0), draft=places + 100
            )
            before = plan.previous(step)
            assert (before is None) == (letter == "A" or timing.replan == LENGTH)
            if before is not None:
                np.testing.assert_array_equal(before.actions, places[timing.replan :])
                assert before.delay == timing.delay
                np.testing.assert_array_equal(before.drafts[-1], places[timing.replan :] + 100)
            plan.answer(step, chunk, places)
        due = plan.due(step)
        done.append("-" if due is None else f"{'?ABCDEFGHIJ'[due.chunk.chunk_id]}{int(due.values[0])}")
    return done


def test_in_lockstep_the_leading_actions_of_each_answer_are_executed() -> None:
    assert executed(Timing(0, 4), 9) == ["A0", "A1", "A2", "A3", "B0", "B1", "B2", "B3", "C0"]
    assert executed(Timing(0, 8), 9)[-2:] == ["A7", "B0"]


def test_the_plan_before_goes_on_until_an_answer_is_there() -> None:
    assert executed(Timing(2, 4), 11) == [
        *("-", "-", "A2", "A3", "A4", "A5", "B2", "B3", "B4", "B5", "C2"),
    ]
    assert executed(Timing(1, 1), 5) == ["-", "A1", "B1", "C1", "D1"]
    assert executed(Timing(4, 4), 10) == [*"----", "A4", "A5", "A6", "A7", "B4", "B5"]


@pytest.mark.parametrize(
    ("delay", "replan", "expected"), [(0, None, (0, 4)), (2, None, (2, 2)), (2, 6, (2, 6)), (4, 4, (4, 4))]
)
def test_answers_are_asked_for_as_often_as_the_delay_permits(
    delay: int, replan: int | None, expected: tuple[int, int]
) -> None:
    assert Timing.of(delay, replan, 4, LENGTH) == Timing(*expected)


@pytest.mark.parametrize(
    ("delay", "replan", "n_action_steps", "message"),
    [
        (5, None, 4, "delay is 5, expected 0 to 4: the 8 actions of a chunk"),
        (-1, None, 4, "delay is -1"),
        (2, 1, 4, "replan is 1, expected 2 to 6, with the 8 actions of a chunk and a delay of 2"),
        (2, 7, 4, "replan is 7, expected 2 to 6"),
        (0, None, 9, "n_action_steps is 9, expected 1 to 8"),
        (0, None, 0, "n_action_steps is 0, expected 1 to 8"),
    ],
)
def test_a_timing_in_which_the_plan_would_run_out_is_refused(
    delay: int, replan: int | None, n_action_steps: int, message: str
) -> None:
    with pytest.raises(AsyncVLAError, match=message):
        Timing.of(delay, replan, n_action_steps, LENGTH)
