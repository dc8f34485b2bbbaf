"""Lifecycle node that records episodes, each in a folder: observations, chunks and commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.recorder.parameters import RecorderParameters
from asyncvla_ros.ros.recorder.session import RecorderSession


class RecorderNode(ManagedNode):
    """Parameters, lifecycle and diagnostics of the recorder.

    What happens while it is configured: ``RecorderSession``. Threads: those of the session.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        self._params = Parameters(self, RecorderParameters)
        #: From configure to cleanup.
        self._session: RecorderSession | None = None
        #: Summary of the last episode; kept when the node is cleaned up.
        self._summary = ""
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Read the contract, check earlier recordings, and subscribe."""
        self.resources.callback(self._end_session)
        self._session = RecorderSession(self, self._params, self._summary)

    def activate(self) -> None:
        """Read keys from the terminal, if the parameter ``keyboard`` says so."""
        assert self._session is not None
        self._session.start()

    def deactivate(self) -> None:
        """End the episode."""
        if self._session is not None:
            self._session.stop()

    def _end_session(self) -> None:
        if self._session is not None:
            self._summary, self._session = self._session.close(), None

    def _report(self) -> Report:
        if self._session is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        return self._session.report()


def main(parameters: Mapping[str, object] | None = None, namespace: str = "") -> None:
    """Entry point of the ``recorder_node`` executable.

    Args:
        parameters: Parameters that replace those of the command line.
        namespace: Namespace of the node; empty: that of the command line.
    """
    if parameters is not None:
        given = [
            word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")
        ]
        place = ["-r", f"__ns:=/{namespace.strip('/')}"] if namespace.strip("/") else []
        sys.argv = [sys.argv[0], "--ros-args", *place, *given]
    run_node(RecorderNode)


if __name__ == "__main__":
    main()
