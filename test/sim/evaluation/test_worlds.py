"""The rules of the worlds, with a target of the test's own; those of the simulator are in test/sim/libero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.sim.evaluation.worlds import Drift, Jump, Kicks, require_world
from asyncvla_ros.sim.libero.tasks import list_tasks
from asyncvla_ros.types import AsyncVLAError


class FakeTarget:
    """A point on a table; ``is_free`` says of a shift whether there is room."""

    def __init__(self, is_free: Callable[[np.ndarray], bool] = lambda shift: True) -> None:
        self.at = np.zeros(2)
        self.hand_m = 1.0
        self._is_free = is_free

    def hand_distance(self) -> float:
        return self.hand_m

    def can_move(self, shift: np.ndarray) -> bool:
        return self._is_free(self.at + shift)

    def move(self, shift: np.ndarray) -> None:
        assert self.can_move(shift)
        self.at = self.at + shift


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def play(world: Any, target: FakeTarget, hand: list[float]) -> list[float]:
    """How far the target was from its place after each control step [m], with the hand so far from it."""
    ways = []
    for step, hand_m in enumerate(hand):
        target.hand_m = hand_m
        world.advance(step)
        ways.append(round(float(np.linalg.norm(target.at)), 6))
    return ways


def test_the_target_jumps_once_when_the_hand_comes_near() -> None:
    target = FakeTarget()
    jump = Jump(target, rng())  # type: ignore[arg-type]
    assert play(jump, target, [0.5, 0.11, 0.09, 0.5, 0.09]) == [0, 0, 0.04, 0.04, 0.04]
    assert jump.moved_step == 2
    again = FakeTarget()
    play(Jump(again, rng()), again, [0.09])  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.at, target.at)


def test_a_target_that_is_touched_or_has_no_room_does_not_jump() -> None:
    held = FakeTarget()
    assert play(Jump(held, rng()), held, [0.02, 0.0]) == [0, 0]  # type: ignore[arg-type]
    stuck = FakeTarget(lambda shift: False)
    jump = Jump(stuck, rng())  # type: ignore[arg-type]
    assert play(jump, stuck, [0.09, 0.09]) == [0, 0] and jump.moved_step is None
    west = FakeTarget(lambda at: at[0] < 0)
    assert play(Jump(west, rng()), west, [0.09]) == [0.04]  # type: ignore[arg-type]


def test_the_target_drifts_by_a_millimeter_a_step_until_it_is_touched() -> None:
    target = FakeTarget()
    drift = Drift(target, rng())  # type: ignore[arg-type]
    assert play(drift, target, [0.5, 0.1, 0.02, 0.5]) == [0.001, 0.002, 0.002, 0.002]
    assert drift.moved_step == 0


def test_a_drift_ends_after_eight_centimeters_or_where_there_is_no_more_room() -> None:
    free = FakeTarget()
    assert play(Drift(free, rng()), free, [0.5] * 100)[-1] == pytest.approx(0.08)  # type: ignore[arg-type]
    narrow = FakeTarget(lambda at: bool(np.linalg.norm(at) < 0.0305))
    assert play(Drift(narrow, rng()), narrow, [0.5] * 100)[-1] == pytest.approx(0.03)  # type: ignore[arg-type]


def test_kicks_do_not_depend_on_what_the_policy_does() -> None:
    def kicked(action: np.ndarray) -> list[list[float]]:
        world = Kicks(rng())
        return [
            [] if (done := world.obey(action)) is action or np.allclose(done, action) else done.tolist()
            for _ in range(400)
        ]

    still, moving = np.zeros(7), np.full(7, 0.5)
    first, second = kicked(still), kicked(moving)
    assert [step for step, done in enumerate(first) if done] == [i for i, done in enumerate(second) if done]
    kicks = [(one[:6], other[:6]) for one, other in zip(first, second, strict=True) if one]
    assert len(kicks) >= 4 and all(one == other for one, other in kicks)
    assert all(done[6] == 0.5 for done in second if done), "the gripper is not kicked"


def test_a_world_in_which_nothing_can_move_is_refused_with_the_tasks_that_have_one() -> None:
    goal = list_tasks("libero_goal")
    with pytest.raises(AsyncVLAError, match=r"libero_goal task 0 .* choose tasks 1,2,3,4,5,6,8,9"):
        require_world("jump", goal)
    spatial = list_tasks("libero_spatial")
    with pytest.raises(AsyncVLAError, match=r"libero_spatial task 4 .* choose tasks 0,1,2,3,5,6,8"):
        require_world("drift", spatial[3:5])
    require_world("kicks", goal)
    require_world("drift", list_tasks("libero_object"))
    with pytest.raises(AsyncVLAError, match="world is 'wind', choose one of"):
        require_world("wind", goal)
