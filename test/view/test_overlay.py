from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from asyncvla_ros.control.types import Mode
from asyncvla_ros.view.overlay import MIN_WIDTH, PANEL, Caption, draw_overlay

PICTURE = np.full((120, 160, 3), 200, np.uint8)
FULL = Caption(
    instruction="pick up the cup → now",
    mode=Mode.TRACKING,
    confidence=np.array([0.9, 0.2, np.nan], np.float32),
    refined=np.array([False, True, False]),
    executed=1,
    latency_s=0.042,
)


def test_the_picture_is_enlarged_and_stays_as_it_is():
    drawn = draw_overlay(PICTURE, Caption())
    assert drawn.shape == (360 + PANEL, MIN_WIDTH, 3) and drawn.dtype == np.uint8
    assert np.all(drawn[:360] == 200)
    wide = np.zeros((480, 640, 3), np.uint8)
    assert draw_overlay(wide, FULL).shape == (480 + PANEL, 640, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"instruction": ""},
        {"mode": None},
        {"mode": Mode.ESTOP},
        {"confidence": np.array([0.9, 0.8, np.nan], np.float32)},
        {"refined": np.zeros(3, bool)},
        {"executed": 0},
        {"latency_s": 0.2},
    ],
)
def test_everything_in_the_caption_is_seen(changes):
    changed = dataclasses.replace(FULL, **changes)
    assert np.any(draw_overlay(PICTURE, changed) != draw_overlay(PICTURE, FULL))
