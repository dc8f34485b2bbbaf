"""A controller in the process of the test, with an arm to move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from asyncvla_ros.ros.controller.node import ControllerNode
from support.arm_peer import ArmPeer, write_contract
from support.node_thread import NodeThread


@pytest.fixture
def start_controller(ros_domain: int, tmp_path: Path) -> Iterator[Callable[..., NodeThread]]:
    """Starts ``ControllerNode``: ``start_controller(execute_steps=3)``, by the contract of ``ArmPeer``.

    One chunk is enough, unless told otherwise.
    """
    with ExitStack() as stack:

        def start(robot: Path | None = None, **params: object) -> NodeThread:
            named = {"robot": robot or write_contract(tmp_path), "silence_timeout_s": 60.0, **params}
            thread = NodeThread(ControllerNode, named)
            stack.callback(thread.stop)
            return thread

        yield start


@pytest.fixture
def arm(ros_domain: int) -> Iterator[ArmPeer]:
    """An arm at rest at (0.5, -0.5) whose driver listens."""
    with ArmPeer((0.5, -0.5)) as peer:
        peer.listen()
        yield peer
