"""A lifecycle node around one object that has whatever exists from configure to cleanup."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode


class Session(Protocol):
    """What a node does while it is configured; its methods are the node's callbacks."""

    def start(self) -> None:
        """Start to act: the node is activated."""

    def stop(self) -> None:
        """Stop acting. May be called when nothing is active."""

    def report(self) -> Report:
        """Return what ``/diagnostics`` says."""
        ...


S = TypeVar("S", bound=Session)


class SessionNode(ManagedNode, Generic[S]):
    """A lifecycle node that does parameters and diagnostics, and leaves the rest to its session.

    Args:
        name: Name of the node.
    """

    def __init__(self, name: str):
        super().__init__(name)
        #: From configure to cleanup.
        self._session: S | None = None
        self._diagnostics = Diagnostics(self, self._report)

    def make_session(self) -> S:
        """Check parameters and create everything; what it creates on ``resources`` is released at cleanup."""
        raise NotImplementedError

    def end_session(self, session: S) -> None:
        """Take from an ending session what outlives it; its topics are gone already."""

    def configure(self) -> None:
        """Make the session."""
        self.resources.callback(self._end_session)
        self._session = self.make_session()

    def activate(self) -> None:
        """Start the session."""
        assert self._session is not None
        self._session.start()

    def deactivate(self) -> None:
        """Stop the session."""
        if self._session is not None:
            self._session.stop()

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self.end_session(session)

    def _report(self) -> Report:
        if self._session is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        return self._session.report()
