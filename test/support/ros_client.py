"""A node of the test itself: listens, publishes and calls while another thread spins it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile

from asyncvla_msgs.action import RunTask


class Inbox:
    """Messages received on one topic, in order."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._changed = threading.Condition()

    def put(self, message: Any) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    @property
    def messages(self) -> list[Any]:
        with self._changed:
            return list(self._messages)

    def clear(self) -> None:
        with self._changed:
            self._messages.clear()

    def wait(
        self, count: int = 1, where: Callable[[Any], bool] = lambda _: True, timeout: float = 30.0
    ) -> Any:
        """Wait for the ``count``-th message where ``where`` holds; AssertionError after ``timeout`` [s]."""

        def matching() -> list[Any]:
            return [message for message in self._messages if where(message)]

        with self._changed:
            self._changed.wait_for(lambda: len(matching()) >= count, timeout)
            found, last = matching(), self._messages[-1:]
        assert len(found) >= count, (
            f"{len(found)} of {count} messages in {timeout} s; the last one was {last}"
        )
        return found[count - 1]


class RosClient:
    """Owns an rclpy context, a node and the thread that spins it; use as a context manager."""

    def __init__(self, name: str = "test_client"):
        self.context = rclpy.Context()
        self.context.init()
        self.node = rclpy.create_node(name, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        self._is_ending = False
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            while not self._is_ending:
                self._executor.spin_once()
        except ExternalShutdownException:
            pass

    def __enter__(self) -> RosClient:
        return self

    def __exit__(self, *_: object) -> None:
        # Between two callbacks: one in progress would miss what the executor wakes up by.
        self._is_ending = True
        self._executor.create_task(lambda: None)
        self._thread.join(10.0)
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def subscribe(self, kind: type, topic: str, qos: QoSProfile | int = 10) -> Inbox:
        """Collect everything published on ``topic`` from now on."""
        inbox = Inbox()
        self.node.create_subscription(kind, topic, inbox.put, qos)
        return inbox

    def publisher(self, kind: type, topic: str, qos: QoSProfile | int = 10, timeout: float = 30.0) -> Any:
        """Create a publisher that has at least one matched subscription."""
        publisher: Any = self.node.create_publisher(kind, topic, qos)
        self.wait_until(lambda: publisher.get_subscription_count() > 0, f"a subscription of {topic}", timeout)
        return publisher

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
        """Poll for what the ROS graph has no event for; AssertionError after ``timeout`` [s]."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"no {what} in {timeout} s"
            pause.wait(0.02)

    def call(self, kind: type, service: str, request: Any, timeout: float = 60.0) -> Any:
        """Wait for a service and return its response; AssertionError after ``timeout`` [s]."""
        # Kept: on a busy machine the first answer is lost to a server that has not heard of a new client.
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        assert client.wait_for_service(timeout), f"no service {service} in {timeout} s"
        return result_of(client.call_async(request), timeout, f"answer of {service}")

    def tasks(self) -> Any:
        """Create a client of ``/policy/run_task`` and wait for its server.

        On the thread that spins: rclpy's action client joins its node before it is complete, and an executor
        that runs meanwhile ends.
        """
        client = result_of(self._executor.create_task(ActionClient, self.node, RunTask, "/policy/run_task"))
        assert client.wait_for_server(30.0)
        return client

    def transition(self, node: str, name: str, timeout: float = 120.0) -> bool:
        """Tells a node to ``configure``, ``activate``, ``deactivate`` or ``cleanup``; True if it did."""
        transition = Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}"))
        return self.call(
            ChangeState, f"/{node}/change_state", ChangeState.Request(transition=transition), timeout
        ).success

    def state(self, node: str, timeout: float = 30.0) -> str:
        """Ask for the lifecycle state of a node, such as ``inactive``, again if an answer is lost."""
        deadline = time.monotonic() + timeout
        while True:
            wait = min(5.0, deadline - time.monotonic())
            try:
                return self.call(GetState, f"/{node}/get_state", GetState.Request(), wait).current_state.label
            except AssertionError:
                if time.monotonic() >= deadline:
                    raise


def result_of(future: Any, timeout: float = 30.0, what: str = "result") -> Any:
    """Wait for the result of a future that another thread spins; AssertionError after ``timeout`` [s]."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(timeout), f"no {what} in {timeout} s"
    return future.result()


def report_values(report: Any) -> dict[str, str]:
    """Keys and values of a ``DiagnosticArray`` of one status."""
    return {item.key: item.value for item in report.status[0].values}
