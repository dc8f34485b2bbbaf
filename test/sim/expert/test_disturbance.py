from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.expert.disturbance import Disturbance, NoiseSettings
from asyncvla_ros.sim.expert.motion import Phase


def test_executed_actions_stay_in_range_and_repeat_with_the_seed() -> None:
    config = NoiseSettings(std_range=(0.3, 0.3), kick_probability=0.1)
    action = np.array([1, -1, 0, 0, 0, 0, 1], dtype=np.float32)
    runs = []
    for _ in range(2):
        disturbance = Disturbance(config, np.random.default_rng(7))
        runs.append(np.array([disturbance.apply(action, Phase.HOVER) for _ in range(50)]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0]).max() <= 1.0
    assert np.abs(runs[0][:, 2]).max() > 0.1
    assert (runs[0][:, 6] == 1.0).all()


def test_a_slip_opens_the_gripper_once_while_carrying() -> None:
    config = NoiseSettings(slip_probability=1.0)
    disturbance = Disturbance(config, np.random.default_rng(0))
    action = np.array([0, 0, 0, 0, 0, 0, 1], dtype=np.float32)
    opened = [disturbance.apply(action, Phase.CARRY)[6] < 0 for _ in range(60)]
    assert sum(opened) == 4
    first = opened.index(True)
    assert all(opened[first : first + 4])
