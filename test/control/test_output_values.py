from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.control.output_values import GoalGate

MS = 1_000_000


def _goals(targets, travel=1.0, period_ns=20 * MS) -> list[float]:
    gate, sent = GoalGate(travel), []
    for number, target in enumerate(targets):
        if gate.wants(target, number * period_ns):
            gate.note(target)
            sent.append(target)
    return sent


def test_a_gripper_gets_a_goal_when_its_target_moves():
    gate = GoalGate(travel=-0.8)
    assert gate.wants(0.4, 0)
    gate.note(0.4)
    assert not gate.wants(0.41, MS) and not gate.wants(0.42, MS)
    assert gate.wants(0.1, MS)
    gate.note(None)
    assert gate.wants(0.4, 2 * MS), "a refused goal is wanted again"


def test_a_small_change_counts_once_it_stays():
    assert _goals([0.5, *[0.53] * 10]) == [0.5]
    assert _goals([0.5, *[0.53] * 20]) == [0.5, 0.53]
    assert _goals([0.5, *[0.51] * 100]) == [0.5], "less than it takes to be worth a goal"


def test_noise_makes_no_goals():
    noise = np.random.default_rng(0).normal(0.5, 0.025, 500)
    assert len(_goals(noise)) <= 5


@pytest.mark.parametrize("sign", [1, -1])
def test_slow_changes_add_up(sign):
    targets = [sign * 0.002 * step for step in range(500)]
    assert len(_goals(targets)) == 10
