"""The controller as it is shipped, on a system clock that benchmarks can set."""

from __future__ import annotations

from asyncvla_ros.ros.bench.stepped_clock import SteppedClocks
from asyncvla_ros.ros.controller.node import ControllerNode
from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.middleware import use_udp_alone


class SteppedControllerNode(SteppedClocks, ControllerNode):
    """Its clock alone is another one."""


def main() -> None:
    """Runs the node."""
    use_udp_alone()
    run_node(SteppedControllerNode)


if __name__ == "__main__":
    main()
