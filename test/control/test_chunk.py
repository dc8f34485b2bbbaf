from __future__ import annotations

import numpy as np
import pytest

from support.contracts import chunk

STEP = chunk().step_ns


@pytest.mark.parametrize(
    ("begins", "spans", "indices"),
    [
        (2, 1.5, [2, 3]),
        (2.5, 1, [2]),
        (0, 0, []),
        (3, -1, []),
        (7, 3, [7]),
        (8, 1, []),
        (-1, 3, []),
    ],
)
def test_following_actions_are_those_due_in_the_span(begins: float, spans: float, indices: list[int]):
    known = chunk(stamp_ns=100 * STEP)
    following = known.following(round((100 + begins) * STEP), round(spans * STEP))
    np.testing.assert_array_equal(following, known.actions[indices])
