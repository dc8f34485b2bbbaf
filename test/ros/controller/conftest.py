"""A controller in the process of the test with an arm to move, and one in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from asyncvla_ros.ros.controller.node import ControllerNode
from support.fake_arm import FakeArm, write_contract
from support.fake_robot import FakeRobot
from support.node_process import NodeProcess
from support.node_thread import NodeThread
from support.ros_client import RosClient


@pytest.fixture
def start_controller(ros_domain: int, tmp_path: Path) -> Iterator[Callable[..., NodeThread]]:
    """Start ``ControllerNode``: ``start_controller(n_action_steps=3)``, by the contract of ``FakeArm``.

    One chunk is enough, and nobody else is looked for, unless told otherwise.
    """
    with ExitStack() as stack:

        def start(robot: Path | None = None, **params: object) -> NodeThread:
            usual = {"silence_timeout_s": 60.0, "discovery_s": 0.0}
            named = {"robot": robot or write_contract(tmp_path), **usual, **params}
            thread = NodeThread(ControllerNode, named)
            stack.callback(thread.stop)
            return thread

        yield start


@pytest.fixture
def arm(ros_domain: int) -> Iterator[FakeArm]:
    """Yield an arm at rest at (0.5, -0.5) whose driver listens."""
    with FakeArm((0.5, -0.5)) as peer:
        peer.listen()
        yield peer


@pytest.fixture
def panda_controller(start_node: Callable[..., NodeProcess], ros_client: RosClient) -> Iterator[NodeProcess]:
    """Yield an active controller on the wall clock; the robot, libero_panda, reports its state."""
    node = start_node("controller_node", params={"autostart": True, "discovery_s": 0.0})
    robot = FakeRobot(ros_client, cameras=False)
    robot.wait_for_subscribers()
    robot.start()
    yield node
    # The client lives longer: two robots that report at the same time are none that rests.
    robot.stop()
