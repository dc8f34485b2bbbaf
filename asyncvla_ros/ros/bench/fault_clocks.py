"""Clocks that benchmarks set: ``/clock``, and the system clock as their nodes see it."""

from __future__ import annotations

import threading
import time

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from std_msgs.msg import Int64MultiArray

from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.stepped_clock import TOPIC, step_message

TICK_S, START_NS = 0.002, 10_000 * 10**9
# So long before a step all nodes are told of it [ns].
NOTICE_NS = 100_000_000
# Readings of both clocks, of which the quickest one counts.
READINGS = 100


class SimClock:
    """Publish ``/clock`` at the pace of wall time; it can be set back."""

    def __init__(self, node: Node):
        self._publisher = node.create_publisher(ClockMessage, "/clock", qos.LOCKSTEP_CLOCK)
        self._began_ns = time.monotonic_ns() - START_NS
        self._lock = threading.Lock()
        node.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _tick(self) -> None:
        message = ClockMessage()
        with self._lock:
            seconds, nanoseconds = divmod(time.monotonic_ns() - self._began_ns, 10**9)
            message.clock.sec, message.clock.nanosec = seconds, nanoseconds
            self._publisher.publish(message)

    def set_back(self, by_s: float) -> None:
        """Set the clock back by ``by_s`` [s] and publish it."""
        with self._lock:
            self._began_ns += round(by_s * 1e9)
        self._tick()


class SystemClock:
    """The system clock of nodes that are ``SteppedClocks``.

    Args:
        node: Publishes the steps.
    """

    def __init__(self, node: Node):
        self._publisher = node.create_publisher(Int64MultiArray, TOPIC, qos.STATUS)

    def step(self, by_s: float) -> int:
        """Step the clock of all nodes by ``by_s`` [s] at one moment, soon; return when [ns, steady]."""
        at_ns = time.monotonic_ns() + NOTICE_NS
        self._publisher.publish(step_message(at_ns, round(by_s * 1e9)))
        return at_ns


def clock_offset_ns() -> int:
    """Return how far the system clock is ahead of the steady clock [ns]."""
    readings = []
    for _ in range(READINGS):
        before_ns, system_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, system_ns - (before_ns + after_ns) // 2))
    return min(readings)[1]
