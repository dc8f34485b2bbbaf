from __future__ import annotations

import pytest

from asyncvla_ros.control.output_values import GoalGate


def test_a_gripper_gets_a_goal_only_when_its_target_moves():
    gate = GoalGate(travel=-0.8)
    assert gate.wants(0.4)
    gate.note(0.4)
    assert not gate.wants(0.4) and not gate.wants(0.41)
    assert gate.wants(0.42) and gate.wants(0.1)
    gate.note(None)
    assert gate.wants(0.4), "a refused goal is wanted again"


@pytest.mark.parametrize("targets", [[0.0, 0.011, 0.022, 0.033], [0.033, 0.022, 0.011, 0.0]])
def test_slow_changes_add_up(targets):
    gate = GoalGate(travel=1.0)
    sent = []
    for target in targets:
        if gate.wants(target):
            gate.note(target)
            sent.append(target)
    assert sent == targets[::2]
