from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.control.interpolation import interpolate_chunk
from support.contracts import MS, STEP_NS, chunk


def _chunk(values):
    actions = np.zeros((len(values), 7), np.float32)
    actions[:, 0] = values
    return chunk(actions=actions)


def test_goes_through_the_actions_and_stands_still_around_them():
    wave = _chunk([0.0, 1.0, 3.0, 2.0])
    for index, value in enumerate([0.0, 1.0, 3.0, 2.0]):
        assert interpolate_chunk(wave, index * STEP_NS)[0][0] == pytest.approx(value)
    for at_ns, value in ((-MS, 0.0), (10 * STEP_NS, 2.0)):
        position, velocity, acceleration = interpolate_chunk(wave, at_ns)
        assert (position[0], velocity[0], acceleration[0]) == (value, 0.0, 0.0)


def test_a_straight_line_has_its_slope_between_the_ends():
    position, velocity, acceleration = interpolate_chunk(_chunk([0, 1, 2, 3, 4]), 2 * STEP_NS + 10 * MS)
    assert position[0] == pytest.approx(2.2)
    assert velocity[0] == pytest.approx(20.0) and acceleration[0] == pytest.approx(0.0)


@pytest.mark.parametrize("at_ms", [20, 70, 130, 149])
def test_velocity_and_acceleration_are_the_derivatives(at_ms):
    wave, h = _chunk([0.0, 1.0, -2.0, 0.5]), 1000
    before, here, after = (interpolate_chunk(wave, at_ms * MS + shift) for shift in (-h, 0, h))
    assert here[1][0] == pytest.approx((after[0][0] - before[0][0]) / (2e-9 * h), rel=1e-4)
    assert here[2][0] == pytest.approx((after[1][0] - before[1][0]) / (2e-9 * h), rel=1e-4)


def test_one_action_is_a_place():
    position, velocity, _ = interpolate_chunk(_chunk([1.5]), 10 * MS)
    assert (position[0], velocity[0]) == (1.5, 0.0)
