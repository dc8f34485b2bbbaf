"""Publishes ``/diagnostics`` once per second of wall time, also while a simulated clock stands still."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

PERIOD = 1.0  # [s]


@dataclass(frozen=True)
class Report:
    """What a node says about itself: level, one line, and metrics by name."""

    level: bytes
    message: str
    values: Mapping[str, object]


class Diagnostics:
    """Publishes what ``collect`` reports, for the whole life of a node.

    Args:
        node: The node that is reported on.
        collect: Called once per second in the node's executor.
    """

    def __init__(self, node: Node, collect: Callable[[], Report]):
        self._node = node
        self._collect = collect
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A timer on the node clock would stop with a simulator that was killed.
        self._timer = node.create_timer(PERIOD, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _publish(self) -> None:
        report = self._collect()
        name = self._node.get_fully_qualified_name()
        status = DiagnosticStatus(level=report.level, name=name, message=report.message, hardware_id=name)
        status.values = [KeyValue(key=key, value=_text(value)) for key, value in report.values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
