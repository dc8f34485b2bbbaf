"""Lifecycle node that records episodes, each in a folder: observations, chunks and commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.recorder.parameters import RecorderParameters
from asyncvla_ros.ros.recorder.session import RecorderSession
from asyncvla_ros.ros.session_node import SessionNode


class RecorderNode(SessionNode[RecorderSession]):
    """Parameters, lifecycle and diagnostics of the recorder.

    What happens while it is configured: ``RecorderSession``. Threads: those of the session.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        self._params = Parameters(self, RecorderParameters)
        #: Summary of the last episode; kept when the node is cleaned up.
        self._summary = ""

    def make_session(self) -> RecorderSession:
        """Read the contract, check earlier recordings, and subscribe."""
        return RecorderSession(self, self._params, self._summary)

    def end_session(self, session: RecorderSession) -> None:
        """Keep what outlives the session."""
        self._summary = session.close()


def main(parameters: Mapping[str, object] | None = None, namespace: str = "") -> None:
    """Run the ``recorder_node`` executable.

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
