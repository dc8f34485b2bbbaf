"""Lifecycle node that shows what the policy intends: the chunk as markers, a camera with a caption."""

from __future__ import annotations

from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.session_node import SessionNode
from asyncvla_ros.ros.visualizer.parameters import VisualizerParameters
from asyncvla_ros.ros.visualizer.session import VisualizerSession


class VisualizerNode(SessionNode[VisualizerSession]):
    """Parameters, lifecycle and diagnostics of the visualizer.

    What happens while it is configured: ``VisualizerSession``. Threads: those of the session.
    """

    def __init__(self) -> None:
        super().__init__("visualizer")
        self._params = Parameters(self, VisualizerParameters)

    def make_session(self) -> VisualizerSession:
        """Read the contract; subscribe to chunks, robot state, status and one camera."""
        return VisualizerSession(self, self._params)


def main() -> None:
    """Run the ``visualizer_node`` executable."""
    run_node(VisualizerNode)


if __name__ == "__main__":
    main()
