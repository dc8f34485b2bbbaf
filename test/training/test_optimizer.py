"""The average of the weights, in short runs and in long ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from asyncvla_ros.training.optimizer import Average


@pytest.mark.parametrize(("steps", "left"), [(20, 0.01), (1000, 1e-6)])
def test_the_average_forgets_where_training_began(steps: int, left: float) -> None:
    weight = nn.Parameter(torch.ones(1))
    average = Average({"weight": weight}, 0.999)
    with torch.no_grad():
        weight.zero_()
    for step in range(steps):
        average.update(step)
    assert average.values["weight"] <= left


def test_far_into_a_run_it_moves_by_its_decay() -> None:
    weight = nn.Parameter(torch.ones(1))
    average = Average({"weight": weight}, 0.9)
    with torch.no_grad():
        weight.zero_()
    average.update(10**6)
    torch.testing.assert_close(average.values["weight"], torch.tensor([0.9]))
