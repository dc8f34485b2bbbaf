"""When a gripper gets a goal. The action client is a fake: only ROS distributions have control_msgs."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.control.types import Command
from asyncvla_ros.ros.controller import outputs
from support.contracts import shipped_robot

pytestmark = pytest.mark.ros


class FakeClient:
    """Takes goals, and answers when it is told to."""

    def __init__(self, *_: Any) -> None:
        self.ready = True
        self.positions: list[float] = []
        self._answer: Any = None

    def server_is_ready(self) -> bool:
        return self.ready

    def send_goal_async(self, goal: Any) -> Any:
        self.positions.append(goal.command.position)
        return SimpleNamespace(add_done_callback=lambda callback: setattr(self, "_answer", callback))

    def answer(self, accepted: bool) -> None:
        self._answer(SimpleNamespace(result=lambda: SimpleNamespace(accepted=accepted)))

    def destroy(self) -> None:
        pass


@pytest.fixture
def gripper(monkeypatch):
    """``send(closed)`` commands a gripper; with the fake client and the warnings."""
    client, warnings = FakeClient(), []
    logger = SimpleNamespace(warning=lambda text, **_: warnings.append(text))
    node: Any = SimpleNamespace(resources=ExitStack(), get_logger=lambda: logger)
    action = SimpleNamespace(Goal=lambda: SimpleNamespace(command=SimpleNamespace()))
    monkeypatch.setattr(outputs, "ActionClient", lambda *_: client)
    monkeypatch.setattr(outputs, "gripper_action", lambda _: action)
    robot = shipped_robot("xarm7")
    output = outputs.GripperActionOutput(node, robot, robot.outputs[2])

    def send(closed: float) -> None:
        values = np.zeros(8, np.float32)
        values[7] = closed
        output.send(Command(values, None, 0), 0)

    return SimpleNamespace(send=send, client=client, warnings=warnings)


def test_a_goal_is_sent_when_the_target_moves(gripper):
    for closed in (-1.0, -1.0, -0.99, -1.0):
        gripper.send(closed)
    assert gripper.client.positions == [0.0]
    gripper.send(1.0)
    assert gripper.client.positions == [0.0], "the first goal is not answered yet"
    gripper.client.answer(accepted=True)
    gripper.send(1.0)
    assert gripper.client.positions == pytest.approx([0.0, 0.85])
    assert not gripper.warnings


def test_a_refused_goal_is_sent_again(gripper):
    gripper.send(0.0)
    gripper.client.answer(accepted=False)
    gripper.send(0.0)
    assert gripper.client.positions == pytest.approx([0.425, 0.425])
    assert "gripper action /xarm_gripper/gripper_action: the goal was refused" in gripper.warnings


def test_a_driver_that_was_away_gets_the_target_again(gripper):
    gripper.send(1.0)
    gripper.client.ready = False
    gripper.send(1.0)
    assert "is the gripper's driver running?" in gripper.warnings[0]
    gripper.client.ready = True
    gripper.send(1.0)
    assert gripper.client.positions == pytest.approx([0.85, 0.85])
