"""The order of frames: each as often as its weight says, in a new order each epoch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.types import AsyncVLAError


def test_an_epoch_has_every_frame_once_in_an_order_of_its_own():
    frames = np.array([0, 1, 2, 5, 6, 7, 8])
    order = Order(frames, [4, 6], [1, 1], seed=3)
    epochs = order.at(np.arange(21)).reshape(3, 7)
    for epoch in epochs:
        assert sorted(epoch) == frames.tolist()
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert Order(frames, [4, 6], [1, 1], seed=3).at(np.array([20, 0])).tolist() == [
        epochs[2, 6],
        epochs[0, 0],
    ]
    assert Order(frames, [4, 6], [1, 1], seed=4).at(np.arange(21)).tolist() != epochs.reshape(-1).tolist()


def test_weights_say_how_often_a_frame_comes():
    order = Order(np.arange(1000), [10, 90, 900], [2.5, 1, 1 / 3], seed=0)
    assert order.epoch_size == 25 + 90 + 300
    epochs = order.at(np.arange(4 * 415)).reshape(4, 415)
    for epoch in epochs:
        counts = Counter(epoch.tolist())
        assert sorted(counts[frame] for frame in range(10)) == [2] * 5 + [3] * 5
        assert all(counts[frame] == 1 for frame in range(10, 100))
        assert sum(counts[frame] for frame in range(100, 1000)) == 300
        assert max(counts[frame] for frame in range(100, 1000)) == 1
    # Another third each time.
    assert len(np.unique(epochs[epochs >= 100])) > 600
    # Shuffled together, not one dataset after the other.
    assert np.ptp(np.flatnonzero(epochs[0] < 100)) > 350


def test_several_processes_see_together_what_one_sees():
    order = Order(np.arange(50), [50], [1], seed=0)
    alone = list(Share(8).steps(order, 0, 10))
    pair = [list(Share(8, rank, 2).steps(order, 0, 10)) for rank in (0, 1)]
    for step, (positions, frames) in enumerate(alone):
        assert positions.tolist() == list(range(8 * step, 8 * step + 8))
        assert np.concatenate([own[step][1] for own in pair]).tolist() == frames.tolist()
    resumed = list(Share(8).steps(order, 7, 10))
    assert [frames.tolist() for _, frames in resumed] == [frames.tolist() for _, frames in alone[7:]]


def test_weights_that_leave_nothing_are_refused():
    with pytest.raises(AsyncVLAError, match=r"weights \[0.01\] leave none of 5 frames"):
        Order(np.arange(5), [5], [0.01], seed=0)
