"""A node of this process that records what arrives and when, on one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import rclpy
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions

from asyncvla_ros.ros.middleware import keep_image_memory
from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.types import RunError


class TimedResponse(NamedTuple):
    """Response of a service, with the times of request and response [ns, system clock]."""

    response: Any
    asked_ns: int
    came_ns: int


class Observer:
    """A ROS node spun by a thread; use as a context manager.

    Args:
        nodes: Checked while anything is waited for.
    """

    def __init__(self, nodes: NodeProcesses):
        keep_image_memory()
        self._nodes = nodes
        self.context = rclpy.Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node("observer", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._changed = threading.Condition()
        self._clients: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._spin, name="observer", daemon=True)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def subscribe(
        self, kind: type, topic: str, profile: QoSProfile, note: Callable[[Any, int], None]
    ) -> None:
        """Call ``note(message, arrival [ns, system clock])`` for each message."""

        def arrived(message: Any) -> None:
            now_ns = time.time_ns()
            with self._changed:
                note(message, now_ns)
                self._changed.notify_all()

        self.node.create_subscription(kind, topic, arrived, profile)

    def action_client(self, kind: type, name: str, timeout_s: float) -> Any:
        """Create a client of an action, on the thread that spins.

        rclpy's action client joins its node before it is complete: an executor that runs meanwhile ends.

        Raises:
            RunError: It took longer than ``timeout_s`` [s], or a node ended.
        """
        made: Any = self._executor.create_task(ActionClient, self.node, kind, name)
        return self.result(made, f"client of {name}", timeout_s)[0]

    def call(self, kind: Any, name: str, request: Any, timeout_s: float) -> TimedResponse:
        """Call a service.

        Raises:
            RunError: There was no answer within ``timeout_s`` [s], or a node ended.
        """
        client = self._clients.get(name) or self.node.create_client(kind, name)
        self._clients[name] = client
        if not client.wait_for_service(timeout_s):
            raise RunError(f"nobody offers the service {name}")
        asked_ns = time.time_ns()
        response, came_ns = self.result(client.call_async(request), f"answer of {name}", timeout_s)
        return TimedResponse(response, asked_ns, came_ns)

    def result(self, future: Any, what: str, timeout_s: float) -> tuple[Any, int]:
        """Wait for a future; return its result and when it came [ns, system clock].

        Raises:
            RunError: It took longer than ``timeout_s`` [s], or failed, or a node ended.
        """
        came_ns = []

        def note(_: Any) -> None:
            came_ns.append(time.time_ns())
            with self._changed:
                self._changed.notify_all()

        future.add_done_callback(note)
        self.wait(lambda: bool(came_ns), what, timeout_s)
        if future.exception() is not None:
            raise RunError(f"no {what}: {future.exception()}")
        return future.result(), came_ns[0]

    def wait(self, ready: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until ``ready`` returns True; ask at every arrival.

        Raises:
            RunError: It took longer than ``timeout_s`` [s], or a node ended.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            with self._changed:
                if self._changed.wait_for(ready, 0.5):
                    return
            self._nodes.check()
            if time.monotonic() > until_s:
                raise RunError(f"no {what} within {timeout_s:g} s\n{self._nodes.tails()}")

    def settle(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until ``ready`` returns True, ``timeout_s`` [s] at most."""
        with self._changed:
            self._changed.wait_for(ready, timeout_s)


def tails(values_ms: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 of latencies [ms], rounded to 1 µs; NaN without any."""
    p50, p95, p99 = np.percentile(values_ms, (50, 95, 99)) if values_ms else (float("nan"),) * 3
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "p99": round(float(p99), 3)}
