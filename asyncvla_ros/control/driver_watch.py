"""Changes of the drivers since the last command."""

from __future__ import annotations

from asyncvla_ros.control.command_generator import CommandGenerator
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.supervisor import Supervisor


class DriverWatch:
    """Restart motion for a driver that connected, disconnected or took hold of the arm again.

    Args:
        supervisor: Knows which drivers commands reach, and whether they have let go of the arm.
        generator: Restarts.
        timeout_ns: Maximum age of a measured state [ns].
    """

    def __init__(self, supervisor: Supervisor, generator: CommandGenerator, timeout_ns: int):
        self._supervisor, self._generator, self._timeout_ns = supervisor, generator, timeout_ns
        self.restart()

    def restart(self) -> None:
        """Forget all changes, at an activation."""
        self._had_let_go = False
        self._was_acknowledged = True
        #: Whether another driver has come while the arm moved: it stops first.
        self.is_elsewhere = False
        #: Whether no valid state was measured for the timeout: the driver may be gone, and the next one must
        #: not be told where the arm was. An arm at rest stays there without commands.
        self.is_unseen = False
        self._unseen_since_ns: int | None = None

    def look(self, state: RobotState, now_ns: int, at_ns: int, *, lockstep: bool) -> None:
        """Check the arm and the drivers once per command.

        Args:
            state: The measured state.
            lockstep: The world waits for each command, so the arm cannot be behind.
            now_ns: [ns, node clock].
            at_ns: [ns, steady].
        """
        self._note_unseen(at_ns, is_unseen=bool(state.not_ready_reason(now_ns)))
        if self._supervisor.is_driver_ready and not lockstep:
            self._supervisor.check_following(state)
        has_let_go = self._supervisor.has_let_go
        if self._had_let_go and not has_let_go:
            self._generator.restart_ramp()
            self._supervisor.forget_motion()
        self._had_let_go = has_let_go
        self._note_acknowledged(is_acknowledged=self._supervisor.is_acknowledged)

    def _note_unseen(self, at_ns: int, *, is_unseen: bool) -> None:
        if not is_unseen:
            self._unseen_since_ns = None
        elif self._unseen_since_ns is None:
            self._unseen_since_ns = at_ns
        since_ns = self._unseen_since_ns
        self.is_unseen = since_ns is not None and at_ns - since_ns > self._timeout_ns

    def _note_acknowledged(self, *, is_acknowledged: bool) -> None:
        """Restart motion for a new subscriber, which may be a driver that was restarted."""
        self.is_elsewhere |= self._supervisor.has_come or (self._was_acknowledged and not is_acknowledged)
        self._was_acknowledged = is_acknowledged
        if self.is_elsewhere and (self._generator.at_rest or self._supervisor.reaches_nobody):
            self._generator.restart(is_elsewhere=True)
            self.is_elsewhere = False
        elif not (is_acknowledged or self.is_elsewhere):
            self._generator.reconsider()
        if not is_acknowledged:
            self._supervisor.forget_motion()
        self._generator.note_acknowledged(is_acknowledged=is_acknowledged)
