"""Lifecycle node that executes action chunks: one command per period, or a hold with a reason."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_ros.control.step_clock import StepClock
from asyncvla_ros.control.types import Verdict
from asyncvla_ros.ros.controller.parameters import ControllerParameters
from asyncvla_ros.ros.controller.session import ControllerSession
from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.middleware import use_udp_alone
from asyncvla_ros.ros.parameters import Parameters


class ControllerNode(ManagedNode):
    """Parameters, lifecycle and diagnostics of the controller.

    What happens while it is configured: ``ControllerSession``. What it decides:
    ``asyncvla_ros.control.controller``. Threads: as of the session.
    """

    def __init__(self) -> None:
        super().__init__("controller")
        self._params = Parameters(self, ControllerParameters, self._on_change)
        # Asked for at each reading: whoever steps a clock exchanges it.
        self._step_clock = StepClock(lambda: self.get_clock(), lockstep=self._params.values.lockstep)
        #: From configure to cleanup.
        self._session: ControllerSession | None = None
        #: What the last session left latched; it outlives the lifecycle, until it is reset.
        self._latch: Verdict | None = None
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Read the contract; subscribe to chunks, robot state and safeguards."""
        self.resources.callback(self._end_session)
        self._session = self.make_session(self._params, self._step_clock, self._latch)

    def make_session(
        self, params: Parameters[ControllerParameters], clock: StepClock, latch: Verdict | None
    ) -> ControllerSession:
        """Make the session of this node; benchmarks override this."""
        return ControllerSession(self, params, clock, latch)

    def activate(self) -> None:
        """Begin idle: move nothing before a new chunk arrives; keep a latched stop latched."""
        assert self._session is not None
        self._session.start()

    def deactivate(self) -> None:
        """Send a stop, to its end, and a hold as the last command."""
        if self._session is not None:
            self._session.stop()

    def _end_session(self) -> None:
        if self._session is not None:
            self._latch, self._session = self._session.close(), None

    def _on_change(self, old: ControllerParameters, new: ControllerParameters) -> None:
        if self._session is not None:
            self._session.controller.limit_tool_speed(new.tool_speed)

    def _report(self) -> Report:
        if self._session is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        return self._session.report()


def main() -> None:
    """Run the node; entry point of the ``controller_node`` executable."""
    use_udp_alone()
    run_node(ControllerNode)


if __name__ == "__main__":
    main()
