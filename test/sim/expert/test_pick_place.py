from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.sim.expert.motion import Phase
from asyncvla_ros.sim.expert.pick_place import PickAndPlace, highest_between, way_from_under
from asyncvla_ros.sim.libero.boxes import Box, Obstacles
from asyncvla_ros.sim.libero.env import LiberoEnv

SHELF = Obstacles(np.array([[0.0, 0.0, 0.3]]), np.diag([0.1, 0.1, 0.05])[None])


def test_only_what_stands_under_the_way_counts() -> None:
    start, end = np.array([-0.5, 0.0, 0.2]), np.array([0.5, 0.0, 0.2])
    assert highest_between(start, end, SHELF) == 0.35
    assert highest_between(start, np.array([-0.2, 0.0, 0.2]), SHELF) == -np.inf


def test_an_object_under_a_shelf_leaves_on_the_shortest_way() -> None:
    under = Box(np.array([0.03, -0.02, 0.0]), np.array([0.13, 0.02, 0.1]))
    way = way_from_under(under, SHELF)
    assert way[1] == 0.0
    assert 0.07 < way[0] < 0.08
    aside, up = np.array([0.1, 0.0, 0.0]), np.array([0.0, 0.0, 0.35])
    beside = Box(under.low + aside, under.high + aside)
    assert not way_from_under(beside, SHELF).any()
    on_top = Box(under.low + up, under.high + up)
    assert not way_from_under(on_top, SHELF).any()


@pytest.mark.libero
def test_what_a_policy_does_instead_is_gone_on_with_and_its_time_is_no_stall() -> None:
    """A bottle can be held at any yaw: a policy that turned the hand must not be told to turn it back."""
    with LiberoEnv("libero_object", 2, "off") as env:
        env.reset(3)
        skill = PickAndPlace(env.scene, env.scene.goals[0])
        while skill.phase is not Phase.DESCEND:
            env.step(skill.act())
        before = skill._grasp.rotation
        for _ in range(14):
            turn = skill.act(drives=False)
            turn[:3], turn[5] = 0.0, 0.2
            env.step(turn)
        skill.act(drives=False)
        hand = env.scene.ee_pose()[1]
        turned = float(np.arccos(np.clip((np.trace(hand @ before.T) - 1) / 2, -1, 1)))
        assert turned > 0.3, "the hand was not turned"
        assert skill._grasp.yaw_error(hand) < 0.15
        for _ in range(120):
            skill.act(drives=False)
        assert skill._stalls == 0
