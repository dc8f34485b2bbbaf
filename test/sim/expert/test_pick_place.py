from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.expert.pick_place import highest_between, way_from_under
from asyncvla_ros.sim.libero.boxes import Box, Obstacles

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
