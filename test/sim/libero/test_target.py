"""What the worlds do to the simulator's objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from asyncvla_ros.sim.evaluation.worlds import DRIFT_M, JUMP_M, make_world
from asyncvla_ros.sim.libero.env import IDLE_ACTION, LiberoEnv
from asyncvla_ros.sim.libero.target import Target, movable_target
from asyncvla_ros.sim.libero.tasks import get_task

pytestmark = pytest.mark.libero
#: "pick up the black bowl on the cookie box ..."
STACK = ("cookies_1", "akita_black_bowl_1")


@pytest.fixture(scope="module")
def env() -> Iterator[LiberoEnv]:
    with LiberoEnv("libero_spatial", 3, render="off") as made:
        yield made


def places(env: LiberoEnv) -> np.ndarray:
    """(n, 3), those of the stack first."""
    names = dict.fromkeys((*STACK, *env.scene.object_names()))
    return np.array([env.scene.body_position(name) for name in names])


def test_what_stands_under_or_on_the_target_moves_with_it() -> None:
    assert movable_target(get_task("libero_spatial", 3)) == STACK
    assert movable_target(get_task("libero_object", 1)) == ("cream_cheese_1",)
    assert movable_target(get_task("libero_spatial", 9)) == (), "on a cabinet"
    assert movable_target(get_task("libero_goal", 0)) == (), "a drawer"


def test_the_target_jumps_before_a_hand_that_comes_down_to_it_and_stays_there(env: LiberoEnv) -> None:
    shifts = []
    for _ in range(2):
        env.reset_to_init(0)
        world, target, before = make_world("jump", env, 0, 0), Target(env.scene, STACK), places(env)
        for step in range(60):
            hand = env.scene.ee_pose()[0]
            way = env.scene.object_box(STACK[1]).center - hand
            world.advance(step)
            if world.moved_step is not None:
                break
            env.step(np.append(np.clip(way / 0.05, -1, 1), [0, 0, 0, -1]))
        assert 0.03 < target.hand_distance() < 0.15
        shifts.append(places(env) - before)
        for _ in range(20):
            env.step(IDLE_ACTION)
        settled = places(env) - before
        np.testing.assert_allclose(settled[:2], shifts[-1][:2], atol=2e-3)
        np.testing.assert_allclose(settled[2:], 0, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(shifts[0][:2, :2], axis=1), JUMP_M, atol=2e-3)
    np.testing.assert_allclose(shifts[0], shifts[1], atol=1e-9)
    env.reset_to_init(0)
    np.testing.assert_allclose(places(env), before, atol=1e-9)


def test_the_target_drifts_through_free_room(env: LiberoEnv) -> None:
    env.reset_to_init(1)
    world, before = make_world("drift", env, 0, 1), places(env)
    for step in range(100):
        world.advance(step)
        env.step(IDLE_ACTION)
    moved = places(env) - before
    np.testing.assert_allclose(np.linalg.norm(moved[:2, :2], axis=1), DRIFT_M, atol=4e-3)
    np.testing.assert_allclose(moved[2:], 0, atol=2e-3)
    np.testing.assert_allclose(moved[:, 2], 0, atol=2e-3)
