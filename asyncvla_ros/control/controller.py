"""The controller's algorithm: from chunks to at most one command per call. No ROS, no threads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.activation import Activation
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.command_generator import CommandGenerator
from asyncvla_ros.control.driver_watch import DriverWatch
from asyncvla_ros.control.robot_state import AGREEING
from asyncvla_ros.control.safety import Rejection
from asyncvla_ros.control.situation import Situation
from asyncvla_ros.control.supervisor import Supervisor
from asyncvla_ros.control.types import Command, Mode, Reason, Status, Verdict
from asyncvla_ros.robot.contract import RobotContract

# Periods without an action after which deltas are held: a rate would go on for ever.
SILENT_PERIODS = 1.5


class Controller:
    """Check chunks, schedule actions, supervise and command the arm; stop with a reason if one is missing.

    ``CommandGenerator`` computes commands, ``Supervisor`` decides whether they may be sent, ``Situation``
    draws the modes. Two clocks: the node clock says which action is due; motion is a function of steady time.
    Not thread-safe.

    Args:
        robot: Dofs, limits and timeouts.
        lockstep: The world waits for each command, so a missing action is no underrun and needs no hold.
        n_action_steps: Leading actions of each chunk to execute, 0: all.
        urdf: The robot description, for a contract with a guard.

    Raises:
        ContractError: the robot does not measure what its limits need, or the guard does not fit.
    """

    def __init__(
        self, robot: RobotContract, *, lockstep: bool = False, n_action_steps: int = 0, urdf: str = ""
    ):
        self._robot = robot
        self._lockstep = lockstep
        agreeing = 1 if lockstep else AGREEING
        self.supervisor = Supervisor(robot, agreeing)
        self._generator = CommandGenerator(robot, urdf)
        timeout_ns = round(robot.observation_timeout_s * 1e9)
        self._drivers = DriverWatch(self.supervisor, self._generator, timeout_ns)
        self._new_activation = partial(Activation, robot, n_action_steps, agreeing)
        self._activation = self._new_activation()
        self._situation = Situation()
        self.is_active = False

    @property
    def mode(self) -> Mode:
        """What the controller does."""
        return self._situation.now.mode

    @property
    def reason(self) -> Reason:
        """Why it does so."""
        return self._situation.now.reason

    @property
    def text(self) -> str:
        """The same in words, with numbers."""
        return self._situation.now.text

    def limit_tool_speed(self, speed: float | None) -> None:
        """Limit the speed of the tool to ``speed`` [m/s]; None: to the contract's limit.

        Raises:
            ContractError: the contract has no guard, so the place of the tool is unknown.
        """
        self._generator.limit_tool_speed(speed)

    def start(self, *, is_elsewhere: bool = False) -> None:
        """Activate: move only after a chunk that comes from now on; keep latched stops.

        Args:
            is_elsewhere: Whether a driver restarted since the last command and no longer holds it.
        """
        self._activation = self._new_activation()
        self._drivers.restart()
        self.is_active = True
        self._generator.restart(is_elsewhere=is_elsewhere)
        self.supervisor.forget_motion()
        self._situation.activate(self.supervisor.latch)

    def stop(self, now_ns: int, at_ns: int) -> Command:
        """Deactivate: compute the stop's first command; ``update`` computes the others until ``at_rest``."""
        self._brake(is_emergency=False)
        self.is_active = False
        self._situation.deactivate()
        return self.update(now_ns, at_ns)

    @property
    def at_rest(self) -> bool:
        """Whether the last command left the arm standing still."""
        return self._lockstep or self._generator.at_rest

    @property
    def allows_early_update(self) -> bool:
        """Whether a new chunk may be answered before the period is over; a delta waits for its step."""
        return self._generator.is_continuous

    def accept(self, chunk: StampedChunk, now_ns: int) -> Rejection | None:
        """Check a chunk and schedule it; return the rejection if it must not be executed."""
        rejection = self._activation.chunks.accept(chunk, now_ns)
        if rejection is None:
            self._activation.has_timed_out = False
        return rejection

    def observe(self, source: str, stamp_ns: int, values: Mapping[str, float]) -> None:
        """Note part of the robot's state: its acquisition time [ns] and its values by state name."""
        self._activation.state.observe(source, stamp_ns, values, self._activation.updated_ns)

    def update(self, now_ns: int, at_ns: int) -> Command:
        """Compute this period's command.

        Args:
            now_ns: [ns, node clock].
            at_ns: [ns, steady].
        """
        self._note_time(now_ns)
        if self.early_update_in_ns(at_ns):
            return Command(None, None, now_ns, at_ns)
        if not self.is_active:
            return self._hold(now_ns, at_ns)
        # First note what has changed, then judge by it.
        self._drivers.look(self._activation.state, now_ns, at_ns, lockstep=self._lockstep)
        self._seed_tracker(now_ns, at_ns)
        # Ask what forbids motion, then what is missing; asking changes nothing.
        forbidden = self.supervisor.verdict(at_ns)
        if forbidden is not None:
            return self._stop_for(forbidden, now_ns, at_ns)
        if self._drivers.is_elsewhere:
            return self._hold(now_ns, at_ns)
        not_ready = self._activation.not_ready(
            self._situation.now, now_ns, has_begun=self._generator.has_begun
        )
        if not_ready is not None:
            return self._wait_for(not_ready, now_ns, at_ns)
        if self._generator.is_stopping:
            return self._hold(now_ns, at_ns)
        action = self._activation.chunks.schedule.due(now_ns)
        if action is not None:
            return self._track(action, now_ns, at_ns)
        return self._between(now_ns, at_ns)

    def _note_time(self, now_ns: int) -> None:
        before_ns = self._activation.updated_ns
        if before_ns is not None and now_ns < before_ns:
            self.clock_jumped((now_ns - before_ns) / 1e9)
        self._activation.updated_ns = now_ns

    def _seed_tracker(self, now_ns: int, at_ns: int) -> None:
        """Start commands where the arm rests, until one is sent; a fault where that is impossible."""
        if not self._generator.may_begin or self._activation.state.not_ready_reason(now_ns):
            return
        problem = self._generator.begin(self._activation.state, at_ns)
        if problem:
            text = f"{problem}; move the arm inside by other means, then reset: it will not be made to jump"
            self.supervisor.fault(Reason.OUTSIDE_LIMITS, text)

    def take_back(self) -> None:
        """Take back the command of the last update, which was too old to send; the next may come at once."""
        self._generator.take_back()
        self._activation.sent_ns = None

    def early_update_in_ns(self, at_ns: int) -> int:
        """Return the time from ``at_ns`` [ns, steady] to the earliest next command [ns].

        Tracked commands are samples of one motion, so two never come at once. Stops do not wait.
        """
        newest = self._activation.chunks.schedule.newest
        is_ended = newest is not None and newest.is_end and self.mode is Mode.TRACKING
        if self._activation.sent_ns is None or not self._generator.is_tracked or is_ended:
            return 0
        since_ns = self._activation.since_sent_ns(at_ns)
        return max(0, self._generator.shortest_ns - since_ns) if since_ns >= 0 else 0

    def _track(self, action: ScheduledAction, now_ns: int, at_ns: int) -> Command:
        is_new = action is not self._activation.action
        values = self._generator.follow(action, now_ns, at_ns, self._activation.state, is_new=is_new)
        self._activation.action = action
        self._situation.track()
        stamp_ns = now_ns if self._generator.is_continuous else action.due_ns
        self._note_sent(at_ns)
        return Command(values, action, stamp_ns, at_ns, paths=self._generator.paths)

    def _between(self, now_ns: int, at_ns: int) -> Command:
        """Compute the command while no new action is due: between two actions, or after the last one."""
        is_exhausted = self._activation.chunks.schedule.is_exhausted(now_ns)
        if is_exhausted and not self._lockstep:
            return self._wait_for(self._activation.exhausted(now_ns), now_ns, at_ns)
        if self.mode is not Mode.TRACKING:
            return self._hold(now_ns, at_ns)
        if self._generator.is_continuous and self._activation.action is not None and not is_exhausted:
            return self._track(self._activation.action, now_ns, at_ns)
        is_silent = self._activation.since_sent_ns(at_ns) > SILENT_PERIODS * self._robot.command_period_ns
        if is_silent and not self._lockstep:
            return self._hold(now_ns, at_ns)
        return Command(None, None, now_ns, at_ns)

    def _stop_for(self, forbidden: Verdict, now_ns: int, at_ns: int) -> Command:
        """Stop because the supervisor forbids motion."""
        if forbidden.mode is Mode.FAULT and self.mode not in (Mode.FAULT, Mode.ESTOP):
            self._generator.restart_stop(is_emergency=True)
        self._situation.forbid(forbidden)
        return self._hold(now_ns, at_ns)

    def _wait_for(self, missing: Verdict, now_ns: int, at_ns: int) -> Command:
        """Hold because something is missing; count an underrun if an action was executed before."""
        self._situation.now = missing
        self._activation.underruns += missing.mode is Mode.HOLDING
        return self._hold(now_ns, at_ns)

    def _hold(self, now_ns: int, at_ns: int) -> Command:
        if self._lockstep:
            return Command(None, None, now_ns, at_ns)
        if self.at_rest and self._is_left_alone:
            others = self.supervisor.is_taken_over
            self._generator.restart(is_elsewhere=others, is_unseen=not others)
            self.supervisor.forget_motion()
            return Command(None, None, now_ns, at_ns)
        values = self._generator.hold(
            now_ns, at_ns, self._activation.state, has_let_go=self.supervisor.has_let_go
        )
        if self.supervisor.is_returning and self._generator.stop.is_settled:
            self.supervisor.note_returned()
        if values is None:
            return Command(None, None, now_ns, at_ns)
        self._note_sent(at_ns)
        return Command(values, None, now_ns, at_ns, paths=self._generator.paths)

    @property
    def _is_left_alone(self) -> bool:
        """Whether an arm at rest gets no commands, and its motion restarts where it is seen at rest.

        Two that command one arm pull at it, and leave it anywhere; one out of sight may get another driver.
        """
        return self.supervisor.is_taken_over or (self._generator.is_tracked and self._drivers.is_unseen)

    def _note_sent(self, at_ns: int) -> None:
        self._activation.sent_ns = at_ns
        self.supervisor.note_command(self._generator.positions, at_ns)

    def _brake(self, *, is_emergency: bool) -> None:
        """Begin a stop with the next command, which comes at once where it may."""
        self._generator.restart_stop(is_emergency=is_emergency)
        if self._generator.is_immediate:
            self._activation.sent_ns = None

    def on_policy_timeout(self, silence_s: float) -> None:
        """Stop after ``silence_s`` of wall time without a chunk, also while the node clock stands still.

        In lockstep stop only when no action is left: a slow world may still ask for the rest.
        """
        if self.mode is not Mode.TRACKING:
            return
        if self._activation.was_exhausted or not self._lockstep:
            self._activation.has_timed_out = True
            self._situation.time_out(silence_s, lockstep=self._lockstep)

    def clock_jumped(self, jump_s: float) -> None:
        """Forget what was planned and observed before the clock jumped back by ``-jump_s``."""
        self._activation.forget_times()
        self._generator.forget_times()
        self._situation.jump(jump_s)

    def estop(self) -> None:
        """Stop within the limits of an emergency stop, and stay stopped until ``reset``."""
        self._brake(is_emergency=True)
        self._situation.now = self.supervisor.estop()

    def fault(self, text: str) -> None:
        """Stop because of an internal error, until ``reset``."""
        self._generator.restart_stop(is_emergency=True)
        self._situation.now = self.supervisor.fault(Reason.INTERNAL_ERROR, text)

    def reset(self) -> bool:
        """Release a latched stop or fault and forget the plan; return False if there was none."""
        if not self.supervisor.reset():
            return False
        self._activation.chunks.schedule.reset()
        if self._lockstep or not self._generator.has_begun:
            self._generator.restart(is_elsewhere=False)
        if self.supervisor.is_returning:
            self._generator.stop.reconsider()
        self._generator.restart_ramp()
        self._situation.reset(is_active=self.is_active)
        return True

    def status(self, now_ns: int) -> Status:
        """Return a snapshot for a person or a message."""
        is_looking = self.is_active and not self._lockstep
        return self._activation.status(self._situation.now, self._generator, now_ns, is_looking=is_looking)
