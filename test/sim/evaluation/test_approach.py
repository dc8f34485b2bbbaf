from __future__ import annotations

import itertools

import numpy as np
import pytest

from asyncvla_ros.sim.evaluation.approach import classify_first_approach

TARGET, USUAL = np.array([0.1, 0.2, 0.9]), np.array([0.1, -0.2, 0.9])


def path(*points: tuple[float, float, float]) -> np.ndarray:
    """From high above the table through some points, in a straight line and 1 cm steps at most."""
    ends = np.array([(0.0, 0.0, 1.3), *points])
    return np.concatenate([np.linspace(*leg, 101) for leg in itertools.pairwise(ends)])


@pytest.mark.parametrize(
    ("points", "found"),
    [
        (((0.1, 0.2, 1.2), (0.1, 0.2, 0.92)), "target"),
        (((0.1, -0.2, 1.2), (0.1, -0.2, 0.92), (0.1, -0.2, 1.2), (0.1, 0.2, 0.92)), "usual"),
        (((0.0, 0.0, 0.92), (0.0, 0.0, 1.2), (0.1, 0.2, 0.92)), "other"),
        # Down beside it, then to it without rising.
        (((0.0, 0.1, 0.92), (0.1, 0.2, 0.92)), "target"),
        (((0.1, -0.2, 1.2), (0.1, 0.2, 1.2)), None),
    ],
)
def test_the_first_place_to_which_the_hand_goes_down_counts(
    points: tuple[tuple[float, float, float], ...], found: str | None
) -> None:
    assert classify_first_approach(path(*points), TARGET, USUAL) == found


def test_a_hand_that_begins_beside_a_high_target_has_not_gone_down_yet() -> None:
    high = TARGET + np.array([0.0, 0.0, 0.42])
    up_and_down = path((0.0, 0.0, 1.4), (0.1, 0.2, 1.4), (0.1, 0.2, 1.32))
    assert up_and_down[0, 2] < high[2] and classify_first_approach(up_and_down, high, None) == "target"
    assert classify_first_approach(up_and_down[:1], high, None) is None


def test_without_another_usual_place_it_is_the_target_or_another() -> None:
    down = path((0.1, -0.2, 1.2), (0.1, -0.2, 0.92))
    assert classify_first_approach(down, TARGET, None) == "other"
    # Where both are near, the nearer one.
    near = TARGET - [0.0, 0.05, 0.0]
    assert classify_first_approach(path((0.1, 0.2, 1.2), (0.1, 0.2, 0.92)), TARGET, near) == "target"
