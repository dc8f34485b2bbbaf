"""LIBERO as a robot: cameras, joint states and a clock on one side, action commands on the other."""

from __future__ import annotations

from asyncvla_ros.ros.libero_sim.parameters import SimParameters
from asyncvla_ros.ros.libero_sim.session import SimSession
from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.session_node import SessionNode


class LiberoSimNode(SessionNode[SimSession]):
    """Parameters, lifecycle and diagnostics of the simulated robot.

    What happens while it is configured: ``SimSession``; while it is active: ``Simulation``. Threads: every
    field belongs to that of the executor.
    """

    def __init__(self) -> None:
        super().__init__("libero_sim")
        self._params = Parameters(self, SimParameters)

    def make_session(self) -> SimSession:
        """Check the contract; create publishers, the command subscription and the reset service."""
        return SimSession(self, self._params)


def main() -> None:
    """Run the ``libero_sim_node`` executable."""
    run_node(LiberoSimNode)


if __name__ == "__main__":
    main()
