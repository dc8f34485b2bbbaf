"""The controller as it is shipped, on a system clock that benchmarks can set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState

from asyncvla_ros.control.types import Command
from asyncvla_ros.ros.bench.graph import LOG
from asyncvla_ros.ros.bench.stepped_clock import SteppedClocks
from asyncvla_ros.ros.controller.node import ControllerNode
from asyncvla_ros.ros.controller.session import ControllerSession
from asyncvla_ros.ros.conversions import to_time
from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.middleware import use_udp_alone


class LoggedSession(ControllerSession):
    """Session that logs each command with the steady time at which it was sent.

    Stamps cannot tell that: between the readings of two clocks lies a time that is different each time.
    """

    #: Set by its node before anything is sent.
    log: Publisher

    def send_command(self, decide: Callable[[int, int], Command]) -> Command:
        """Send a command of this moment, and log it."""
        command = super().send_command(decide)
        if command.values is not None and not np.isnan(command.values).any():
            # As the message carries them.
            values: np.ndarray = np.asarray(command.values, np.float32).astype(np.float64)
            entry = JointState(position=values.tolist())
            entry.header.stamp = to_time(command.at_ns)
            self.log.publish(entry)
        return command


class SteppedControllerNode(SteppedClocks, ControllerNode):
    """The controller with a stepped clock and a log of its commands; nothing else differs."""

    def __init__(self) -> None:
        super().__init__()
        self._log = self.create_publisher(JointState, "~/sent", LOG)

    def make_session(self) -> ControllerSession:
        """Return a session that logs."""
        session = LoggedSession(self, self._params, self._step_clock, self._latch)
        session.log = self._log
        return session


def main() -> None:
    """Run the node."""
    use_udp_alone()
    run_node(SteppedControllerNode)


if __name__ == "__main__":
    main()
