from __future__ import annotations

from typing import Any

import pytest

from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "fast"}, r"mode is 'fast', choose one of \('afm', 'sfm'\)"),
        ({"select": "worst"}, r"select is 'worst', choose one of \('rater', 'random', 'variance'\)"),
        ({"rounds": 0}, "rounds is 0, expected at least 1"),
        ({"best_of": 0}, "best_of is 0, expected at least 1"),
        ({"denoise_steps": 0}, "denoise_steps is 0, expected at least 1"),
        ({"threshold": 1.5}, "threshold is 1.5, expected a confidence from 0 to 1"),
        ({"select": "variance"}, "threshold is None, select 'variance' expects a variance"),
    ],
)
def test_values_out_of_range_say_what_was_expected(values: dict[str, Any], message: str):
    with pytest.raises(AsyncVLAError, match=message):
        Strategy(**values)


def test_a_variance_may_exceed_one():
    assert Strategy(select="variance", threshold=1.5).threshold == 1.5
