from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.view.chunk_display import ChunkDisplay
from asyncvla_ros.view.chunk_view import FADED, chunk_view
from asyncvla_ros.view.colors import UNKNOWN, confidence_rgba
from support.contracts import MS, STEP_NS, chunk, libero_panda

LUMA = np.array([0.2126, 0.7152, 0.0722])


def test_more_confidence_is_brighter():
    colors = confidence_rgba(np.linspace(0.0, 1.0, 50))
    assert np.all(np.diff(colors[:, :3] @ LUMA) > 0)
    assert np.all(colors[:, 3] == 1.0)


def test_unknown_is_gray_and_what_is_out_of_range_is_clipped():
    colors = confidence_rgba(np.array([np.nan, -1.0, 0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(colors[0], UNKNOWN)
    np.testing.assert_array_equal(colors[1], colors[2])
    np.testing.assert_array_equal(colors[3], colors[4])
    assert confidence_rgba(np.zeros(0)).shape == (0, 4)


POINTS = np.arange(27.0).reshape(9, 3)


@pytest.mark.parametrize(
    ("steps", "executed"), [(-1.0, 0), (0.0, 0), (0.99, 0), (1.0, 1), (3.5, 3), (8.0, 8), (50.0, 8)]
)
def test_what_is_over_fades(steps, executed):
    given = chunk(stamp_ns=1000 * MS, confidence=np.full(8, 0.5, np.float32))
    view = chunk_view(given, POINTS, 1000 * MS + round(steps * STEP_NS))
    assert view.executed == executed
    np.testing.assert_array_equal(view.colors[:executed, 3], FADED)
    np.testing.assert_array_equal(view.colors[executed:, 3], 1.0)


def test_without_a_rater_all_is_gray_and_nothing_refined():
    view = chunk_view(chunk(), POINTS, 0)
    np.testing.assert_array_equal(view.colors, np.tile(UNKNOWN, (8, 1)))
    assert not view.refined.any()
    np.testing.assert_array_equal(view.segments[3], POINTS[3:5])


def test_a_path_begins_where_the_observation_was_made():
    display = ChunkDisplay(libero_panda())
    for stamp_ns, x in ((0, 0.1), (100 * MS, 0.5)):
        display.observe("ee_pose", stamp_ns, {"ee_x": x, "ee_y": 0.0, "ee_z": 0.0})
    assert display.view(0) is None and not display.problem
    display.show(chunk(stamp_ns=50 * MS))
    view = display.view(100 * MS)
    np.testing.assert_allclose(view.points[0], [0.1, 0, 0])
    assert view.executed == 1


def test_a_stale_path_goes_away():
    display = ChunkDisplay(libero_panda())
    display.observe("ee_pose", 0, {"ee_x": 0.0, "ee_y": 0.0, "ee_z": 0.0})
    display.show(chunk(stamp_ns=1000 * MS))
    assert display.view(1500 * MS) is not None
    assert display.view(1501 * MS) is None
    assert display.view(900 * MS) is None, "the clock jumped back"


def test_a_path_that_cannot_be_drawn_has_a_reason():
    display = ChunkDisplay(libero_panda())
    display.show(chunk())
    assert display.view(0) is None
    assert display.problem == "no pose of the end effector was measured"
    display.observe("ee_pose", 0, {"ee_x": 0.0, "ee_y": 0.0, "ee_z": 0.0})
    assert display.view(0) is not None and not display.problem
