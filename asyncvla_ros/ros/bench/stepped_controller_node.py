"""The controller as it is shipped, on a system clock that benchmarks can set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import JointState

from asyncvla_ros.control.types import Command
from asyncvla_ros.ros.bench.graph import LOG
from asyncvla_ros.ros.bench.stepped_clock import SteppedClocks
from asyncvla_ros.ros.controller.node import ControllerNode
from asyncvla_ros.ros.conversions import to_time
from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.middleware import use_udp_alone


class SteppedControllerNode(SteppedClocks, ControllerNode):
    """Its clock alone is another one; and it says when, in steady time, it sent which command.

    Stamps cannot tell that: between the readings of two clocks lies a time that is different each time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._log = self.create_publisher(JointState, "~/sent", LOG)

    def _command(self, decide: Callable[[int, int], Command]) -> Command:
        command = super()._command(decide)
        if command.values is not None and not np.isnan(command.values).any():
            # As the message carries them.
            values: np.ndarray = np.asarray(command.values, np.float32).astype(np.float64)
            entry = JointState(position=values.tolist())
            entry.header.stamp = to_time(command.at_ns)
            self._log.publish(entry)
        return command


def main() -> None:
    """Runs the node."""
    use_udp_alone()
    run_node(SteppedControllerNode)


if __name__ == "__main__":
    main()
