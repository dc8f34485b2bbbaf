"""LIBERO as a robot: cameras, joint states and a clock on one side, action commands on the other."""

from __future__ import annotations

import sys

from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.libero_sim.parameters import SimParameters
from asyncvla_ros.ros.libero_sim.session import SimSession
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters


class LiberoSimNode(ManagedNode):
    """Parameters, lifecycle and diagnostics of the simulated robot.

    What happens while it is configured: ``SimSession``; while it is active: ``Simulation``. Threads: every
    field belongs to that of the executor.
    """

    def __init__(self) -> None:
        super().__init__("libero_sim")
        self._params = Parameters(self, SimParameters)
        #: From configure to cleanup.
        self._session: SimSession | None = None
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Check the contract; create publishers, the command subscription and the reset service."""
        self.resources.callback(self._forget_session)
        self._session = SimSession(self, self._params)

    def activate(self) -> None:
        """Start the simulation thread, and the first episode if the parameter ``start`` says so."""
        assert self._session is not None
        self._session.start()

    def deactivate(self) -> None:
        """End the simulation thread and release the simulator."""
        if self._session is not None:
            self._session.stop()

    def _forget_session(self) -> None:
        self._session = None

    def _report(self) -> Report:
        if self._session is None:
            return Report(DiagnosticStatus.OK, "not active", {})
        return self._session.report()


def main() -> None:
    """Entry point of the ``libero_sim_node`` executable."""
    sys.exit(run_node(LiberoSimNode))


if __name__ == "__main__":
    main()
