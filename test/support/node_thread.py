"""A managed node in the process of the test: it starts at once, and its clock can be set."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor

from asyncvla_ros.ros.lifecycle import ManagedNode
from support.node_process import node_command


class SetClock:
    """The clock of a node, as it reads after somebody has set that of the system.

    Args:
        clock: The node's own one.
    """

    def __init__(self, clock: Any):
        self._clock = clock
        #: Added to it [ns].
        self.offset_ns = 0

    def now(self) -> Any:
        return self._clock.now() + Duration(nanoseconds=self.offset_ns)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


class NodeThread:
    """A node with an executor and a thread of its own, in the default context of rclpy.

    Args:
        create: Makes the node.
        params: Its parameters.
        beside: Make others, which share thread and parameters.
    """

    def __init__(
        self,
        create: Callable[[], ManagedNode],
        params: Mapping[str, object],
        *beside: Callable[[], ManagedNode],
    ):
        rclpy.init(args=node_command("", params=params)[2:])
        self.node = create()
        self._nodes = [self.node, *(make() for make in beside)]
        self.clock = SetClock(self.node.get_clock())
        self.node.get_clock = lambda: self.clock  # type: ignore
        self._is_stopping = False
        self._executor = SingleThreadedExecutor()
        for node in self._nodes:
            self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        while not self._is_stopping:
            self._executor.spin_once(timeout_sec=0.1)

    def stop(self) -> None:
        """Deactivates and ends it."""
        self._is_stopping = True
        self._thread.join(60.0)
        self._executor.shutdown()
        for node in reversed(self._nodes):
            node.teardown()
            node.destroy_node()
        rclpy.shutdown()
