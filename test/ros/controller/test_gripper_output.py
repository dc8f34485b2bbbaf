"""When a gripper gets a goal. The action client is a fake: only ROS distributions have control_msgs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.types import Command
from asyncvla_ros.ros.controller import gripper_output
from support.contracts import MS, chunk, shipped_robot

pytestmark = pytest.mark.ros

ROBOT = shipped_robot("xarm7")
# Its gripper is closed at this position [rad], open at 0.
CLOSED = 0.85


class FakeGoal:
    """A goal that was answered: it moves until it ends or is canceled."""

    def __init__(self, *, accepted: bool) -> None:
        self.accepted, self.is_canceled = accepted, False
        self.end: Callable[[Any], None] = lambda _: None

    def get_result_async(self) -> Any:
        return SimpleNamespace(add_done_callback=lambda callback: setattr(self, "end", callback))

    def cancel_goal_async(self) -> None:
        self.is_canceled = True


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

    def answer(self, *, accepted: bool = True) -> FakeGoal:
        goal, callback = FakeGoal(accepted=accepted), self._answer
        self._answer = None
        callback(SimpleNamespace(result=lambda: goal))
        return goal

    def answer_all(self) -> None:
        if self._answer is not None:
            self.answer()

    def destroy(self) -> None:
        pass


class Gripper:
    """The output with its fake client, commanded every 20 ms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client, self.warnings = FakeClient(), []
        logger = SimpleNamespace(warning=lambda text, **_: self.warnings.append(text))
        node: Any = SimpleNamespace(resources=ExitStack(), get_logger=lambda: logger)
        action = SimpleNamespace(Goal=lambda: SimpleNamespace(command=SimpleNamespace()))
        monkeypatch.setattr(gripper_output, "ActionClient", lambda *_: self.client)
        monkeypatch.setattr(gripper_output, "gripper_action", lambda _: action)
        self._output = gripper_output.GripperActionOutput(node, ROBOT, ROBOT.outputs[2])
        self._now_ns = 0
        self.cancel = self._output.cancel

    def hold(self, closed: float) -> None:
        """From -1 open to +1 closed; nobody asks for it."""
        self._send(closed, None)

    def follow(self, closed: float) -> None:
        """As an action of a chunk wants it."""
        self._send(closed, ScheduledAction(np.zeros(8), chunk(), 0, 0, 1.0, refined=False))

    def _send(self, closed: float, action: ScheduledAction | None) -> None:
        values = np.zeros(8)
        values[7] = closed
        self._now_ns += 20 * MS
        self._output.send(Command(values, action, 0, self._now_ns))


@pytest.fixture
def gripper(monkeypatch):
    return Gripper(monkeypatch)


def test_a_goal_is_sent_when_the_target_moves(gripper):
    for closed in (-1.0, -1.0, -0.99, -1.0):
        gripper.follow(closed)
    assert gripper.client.positions == [0.0]
    gripper.follow(1.0)
    assert gripper.client.positions == [0.0], "the first goal is not answered yet"
    gripper.client.answer()
    gripper.follow(1.0)
    assert gripper.client.positions == pytest.approx([0.0, CLOSED])
    assert not gripper.warnings


def test_a_refused_goal_is_sent_again(gripper):
    gripper.follow(0.0)
    gripper.client.answer(accepted=False)
    gripper.follow(0.0)
    assert gripper.client.positions == pytest.approx([CLOSED / 2, CLOSED / 2])
    assert "gripper action /xarm_gripper/gripper_action: the goal was refused" in gripper.warnings


def test_a_driver_that_was_away_gets_the_target_again(gripper):
    gripper.follow(1.0)
    gripper.client.ready = False
    gripper.follow(1.0)
    assert "is the gripper's driver running?" in gripper.warnings[0]
    gripper.client.ready = True
    gripper.follow(1.0)
    assert gripper.client.positions == pytest.approx([CLOSED, CLOSED])


def test_noise_is_hardly_worth_a_goal_but_a_small_change_that_stays_is(gripper):
    for noise in np.random.default_rng(0).normal(0.0, 0.05, 500):
        gripper.follow(float(noise))
        gripper.client.answer_all()
    assert len(gripper.client.positions) <= 5
    for _ in range(20):
        gripper.follow(0.5)
        gripper.client.answer_all()
    count = len(gripper.client.positions)
    # 0.1 of 2 are 5 % of the travel.
    for _ in range(14):
        gripper.follow(0.6)
    assert len(gripper.client.positions) == count
    for _ in range(3):
        gripper.follow(0.6)
    assert gripper.client.positions[count:] == pytest.approx([0.8 * CLOSED])


def test_a_stop_cancels_the_goal_and_only_a_chunk_sends_it_again(gripper):
    gripper.follow(1.0)
    goal = gripper.client.answer()
    gripper.cancel()
    assert goal.is_canceled
    for _ in range(50):
        gripper.hold(1.0)
    assert len(gripper.client.positions) == 1
    gripper.follow(1.0)
    assert gripper.client.positions == pytest.approx([CLOSED, CLOSED])


def test_a_stop_cancels_a_goal_that_is_not_answered_yet(gripper):
    gripper.follow(1.0)
    gripper.cancel()
    assert gripper.client.answer().is_canceled
    gripper.follow(-1.0)
    assert not gripper.client.answer().is_canceled, "the next one is another"


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_canceled_goal_that_never_began_cancels_no_later_one(gripper, is_refused):
    gripper.follow(1.0)
    gripper.cancel()
    if is_refused:
        gripper.client.answer(accepted=False)
    else:
        gripper.client.ready = False
        gripper.follow(1.0)
        gripper.client.ready = True
    gripper.follow(1.0)
    assert not gripper.client.answer().is_canceled


def test_a_goal_that_has_ended_is_not_canceled(gripper):
    gripper.follow(1.0)
    goal = gripper.client.answer()
    goal.end(None)
    gripper.cancel()
    assert not goal.is_canceled


def test_a_goal_that_is_replaced_does_not_end_the_newer_one(gripper):
    gripper.follow(1.0)
    older = gripper.client.answer()
    gripper.follow(-1.0)
    newer = gripper.client.answer()
    older.end(None)
    gripper.cancel()
    assert newer.is_canceled


def test_nothing_is_sent_where_nobody_knows_a_target(gripper):
    gripper.hold(float("nan"))
    assert not gripper.client.positions
