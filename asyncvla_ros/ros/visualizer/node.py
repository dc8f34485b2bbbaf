"""Lifecycle node that shows what the policy intends: the chunk as markers, a camera with a caption."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.visualizer.parameters import VisualizerParameters
from asyncvla_ros.ros.visualizer.session import VisualizerSession


class VisualizerNode(ManagedNode):
    """Parameters, lifecycle and diagnostics of the visualizer.

    What happens while it is configured: ``VisualizerSession``. Threads: those of the session.
    """

    def __init__(self) -> None:
        super().__init__("visualizer")
        self._params = Parameters(self, VisualizerParameters)
        #: From configure to cleanup.
        self._session: VisualizerSession | None = None
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Read the contract; subscribe to chunks, robot state, status and one camera."""
        self.resources.callback(self._forget_session)
        self._session = VisualizerSession(self, self._params)

    def activate(self) -> None:
        """Remove what was shown before."""
        assert self._session is not None
        self._session.start()

    def deactivate(self) -> None:
        """Remove the path."""
        if self._session is not None:
            self._session.stop()

    def _forget_session(self) -> None:
        self._session = None

    def _report(self) -> Report:
        if self._session is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        return self._session.report()


def main() -> None:
    """Entry point of the ``visualizer_node`` executable."""
    run_node(VisualizerNode)


if __name__ == "__main__":
    main()
