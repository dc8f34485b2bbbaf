"""Lifecycle node that executes action chunks: one command per period, or a hold with a reason."""

from __future__ import annotations

from asyncvla_ros.control.step_clock import StepClock
from asyncvla_ros.control.types import Verdict
from asyncvla_ros.ros.controller.parameters import ControllerParameters
from asyncvla_ros.ros.controller.session import ControllerSession
from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.middleware import use_udp_alone
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.session_node import SessionNode


class ControllerNode(SessionNode[ControllerSession]):
    """Parameters, lifecycle and diagnostics of the controller.

    What happens while it is configured: ``ControllerSession``. What it decides:
    ``asyncvla_ros.control.controller``. Threads: as of the session.
    """

    def __init__(self) -> None:
        super().__init__("controller")
        self._params = Parameters(self, ControllerParameters, self._on_change)
        # Asked for at each reading: whoever steps a clock exchanges it.
        self._step_clock = StepClock(lambda: self.get_clock(), lockstep=self._params.values.lockstep)
        #: What the last session left latched; it outlives the lifecycle, until it is reset.
        self._latch: Verdict | None = None

    def make_session(self) -> ControllerSession:
        """Read the contract; subscribe to chunks, robot state and safeguards."""
        return ControllerSession(self, self._params, self._step_clock, self._latch)

    def end_session(self, session: ControllerSession) -> None:
        """Keep what outlives the session."""
        self._latch = session.close()

    def _on_change(self, old: ControllerParameters, new: ControllerParameters) -> None:
        if self._session is not None:
            self._session.controller.limit_tool_speed(new.tool_speed)


def main() -> None:
    """Run the node; entry point of the ``controller_node`` executable."""
    use_udp_alone()
    run_node(ControllerNode)


if __name__ == "__main__":
    main()
