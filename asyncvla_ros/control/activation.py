"""What one activation of the controller has received, and what it still lacks to execute it."""

from __future__ import annotations

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.chunk_intake import ChunkIntake
from asyncvla_ros.control.command_generator import CommandGenerator
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.types import Mode, Reason, Status, Verdict
from asyncvla_ros.robot.contract import RobotContract

# Reasons that remain valid while nothing is planned.
WAITING = (Reason.NO_CHUNK, Reason.CLOCK_JUMP, Reason.CHUNK_REJECTED, Reason.TASK_ENDED)


class Activation:
    """Chunks, the measured state and the last action of one activation.

    Args:
        robot: What chunks and state must fit.
        n_action_steps: Leading actions of each chunk to execute, 0: all.
        agreeing: Consecutive state samples that must agree before the arm counts as at rest.

    Attributes:
        chunks: Those that were accepted, and their actions.
        state: What was measured.
        action: The one that was followed last.
        updated_ns: When the controller was updated last [ns, node clock]; None: not since the clock jumped.
        sent_ns: When a command was sent last [ns, steady]; None: the next one need not keep away from it.
        underruns: How often there was nothing to execute.
        has_timed_out: Whether no chunk has come for too long in wall time.
    """

    def __init__(self, robot: RobotContract, n_action_steps: int, agreeing: int):
        self.chunks = ChunkIntake(robot, n_action_steps)
        self.state = RobotState(robot, agreeing)
        self.action: ScheduledAction | None = None
        self.updated_ns: int | None = None
        self.sent_ns: int | None = None
        self.underruns = 0
        self.has_timed_out = False

    def forget_times(self) -> None:
        """Forget every time of the node clock, which has jumped."""
        self.chunks.schedule.reset()
        self.state.forget_times()
        self.updated_ns = None

    def since_sent_ns(self, at_ns: int) -> int:
        """Return the time from the last command to ``at_ns`` [ns, steady] in [ns]; 0 without one."""
        return 0 if self.sent_ns is None else at_ns - self.sent_ns

    @property
    def was_exhausted(self) -> bool:
        """Whether no action was left when the controller was updated last."""
        return self.updated_ns is not None and self.chunks.schedule.is_exhausted(self.updated_ns)

    def not_ready(self, before: Verdict, now_ns: int, *, has_begun: bool) -> Verdict | None:
        """Return what keeps the controller from executing any action now; change nothing.

        Args:
            before: What the controller does.
            has_begun: Whether the arm was seen at rest, so that the first command has a start.
            now_ns: [ns, node clock].
        """
        newest = self.chunks.schedule.newest
        if newest is None:
            return self._without_chunk(before, now_ns)
        stale = self.state.not_ready_reason(now_ns)
        if stale:
            return Verdict(Mode.HOLDING, Reason.OBSERVATION_STALE, stale)
        if not has_begun:
            text = "the arm moves, or was measured too seldom yet; waiting until it is seen at rest"
            return Verdict(Mode.IDLE, Reason.NO_CHUNK, text)
        if newest.is_end:
            text = "the task is over; waiting for the next one"
            return Verdict(Mode.HOLDING, Reason.TASK_ENDED, text)
        if self.has_timed_out:
            return Verdict(Mode.HOLDING, Reason.UNDERRUN, before.text)
        return self.exhausted(now_ns) if self.chunks.is_stale(now_ns) else None

    def _without_chunk(self, before: Verdict, now_ns: int) -> Verdict:
        """Return the verdict of before, with its reason if that still holds."""
        if self.chunks.is_rejected:
            return Verdict(before.mode, *self.chunks.exhausted(now_ns))
        if before.reason in WAITING:
            return before
        return Verdict(before.mode, Reason.NO_CHUNK, "waiting for a chunk")

    def exhausted(self, now_ns: int) -> Verdict:
        """Return why no action of the known chunks is executable at ``now_ns`` [ns, node clock]."""
        return Verdict(Mode.HOLDING, *self.chunks.exhausted(now_ns))

    def status(self, now: Verdict, generator: CommandGenerator, now_ns: int, *, is_looking: bool) -> Status:
        """Return a snapshot for a person or a message.

        Args:
            now: What the controller does.
            generator: Counts what it clamped.
            is_looking: Whether problems of the robot state are reported, too.
            now_ns: [ns, node clock].
        """
        newest = self.chunks.schedule.newest
        return Status(
            mode=now.mode,
            reason=now.reason,
            text=now.text,
            chunk_id=0 if newest is None else newest.chunk_id,
            chunk_age_s=self.chunks.age_s(now_ns),
            actions_left=self.chunks.schedule.remaining(now_ns),
            accepted=self.chunks.accepted,
            rejected=self.chunks.rejected,
            expired=self.chunks.schedule.expired,
            underruns=self.underruns,
            last_rejection=self.chunks.last_rejection,
            clamped=generator.clamped,
            limit_stops=generator.limit_stops,
            problem=self.state.not_ready_reason(now_ns) if is_looking else "",
            silent=self.state.silent if is_looking else (),
        )
