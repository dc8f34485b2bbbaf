"""The controller's algorithm: from chunks to at most one command per control period. No ROS, no threads."""

from __future__ import annotations

from collections.abc import Mapping

from asyncvla_ros.control.action_schedule import ActionSchedule, ScheduledAction
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.follower import Follower
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.safety import Rejection, RejectReason, check_chunk
from asyncvla_ros.control.types import Command, Mode, Reason, Status
from asyncvla_ros.robot.contract import RobotContract


class Controller:
    """Reject -> schedule -> clamp -> track -> command; anything missing ends in a stop with a reason.

    ::

        IDLE ──first action due──> TRACKING <──next chunk── HOLDING
                                      │ dry, stale, rejected, clock jump ─┘^
        any ──estop──> ESTOP, any ──error──> FAULT; both latched until ``reset``, then IDLE

    What is commanded in each of them: ``asyncvla_ros.control.follower``.

    Args:
        robot: Dofs, limits and timeouts.
        lockstep: The world waits for each command: a dry schedule is no underrun and needs no hold command.
        execute_steps: Leading actions of each chunk to execute, 0: all.

    Raises:
        ContractError: the robot does not measure what its limits need.
    """

    def __init__(self, robot: RobotContract, lockstep: bool = False, execute_steps: int = 0):
        self._robot = robot
        self._lockstep = lockstep
        self._execute_steps = execute_steps
        self.mode, self.reason, self.text = Mode.IDLE, Reason.INACTIVE, "not active"
        self._clear()

    def _clear(self) -> None:
        self._schedule = ActionSchedule(self._execute_steps)
        self._follower = Follower(self._robot)
        self._state = RobotState(self._robot)
        self._action: ScheduledAction | None = None
        self._last_ns: int | None = None
        self._elapsed_ns = self._robot.period_ns
        self._sent_ns: int | None = None
        self._accepted = self._rejected = self._underruns = 0
        self._rejection: Rejection | None = None
        self._last_rejection = ""

    def start(self) -> None:
        """Activation: begins with nothing known; moves only after a chunk of now."""
        self._clear()
        self._enter(Mode.IDLE, Reason.NO_CHUNK, "no chunk received since activation")

    def stop(self, now_ns: int) -> Command:
        """Deactivation: the first command of the stop; ``update`` gives the others until ``at_rest``."""
        self._follower.halt()
        self._elapsed_ns = self._robot.period_ns
        self._enter(Mode.IDLE, Reason.INACTIVE, "deactivated")
        return self._hold(now_ns)

    @property
    def at_rest(self) -> bool:
        """Whether the last command left the arm standing still."""
        return self._lockstep or self._follower.at_rest

    def accept(self, chunk: StampedChunk, now_ns: int) -> Rejection | None:
        """Checks a chunk and adds it to the schedule; the rejection if it may not be executed."""
        rejection = check_chunk(chunk, self._robot, now_ns)
        if rejection is None and not self._schedule.merge(chunk):
            newest = self._schedule.newest
            known = "an earlier one" if newest is None else f"chunk {newest.chunk_id} at {newest.stamp_ns} ns"
            rejection = Rejection(
                RejectReason.OUT_OF_SEQUENCE,
                f"chunk {chunk.chunk_id} at {chunk.stamp_ns} ns is not newer than {known}",
            )
        self._rejection = rejection
        if rejection is None:
            self._accepted += 1
        else:
            self._rejected += 1
            self._last_rejection = str(rejection)
        return rejection

    def observe(self, source: str, stamp_ns: int, values: Mapping[str, float]) -> None:
        """Notes a part of the robot's state: acquisition time [ns] for the watchdog, values for the hold."""
        self._state.observe(source, stamp_ns, values, self._last_ns)

    def update(self, now_ns: int, elapsed_ns: int | None = None) -> Command:
        """The command of now: the one verb while active.

        Args:
            now_ns: [ns, node clock].
            elapsed_ns: Time since the command before, if this one comes before the period is over; None: a
                period, which the timer has waited for, whatever the clock says.
        """
        self._elapsed_ns = self._robot.period_ns
        if elapsed_ns is not None and self.answers_at_once:
            self._elapsed_ns = min(max(elapsed_ns, 0), self._robot.period_ns)
        if self._last_ns is not None and now_ns < self._last_ns:
            self.clock_jumped((now_ns - self._last_ns) / 1e9)
        self._last_ns = now_ns
        if self._is_early(now_ns):
            return Command(None, None, now_ns)
        if self.mode in (Mode.FAULT, Mode.ESTOP) or self.reason is Reason.INACTIVE:
            return self._hold(now_ns)
        obstacle = self._obstacle(now_ns) or self._cannot_begin(now_ns)
        if obstacle is not None:
            self._enter(*obstacle)
            if self.mode is Mode.HOLDING:
                self._underruns += 1
            return self._hold(now_ns)
        action = self._schedule.due(now_ns)
        if action is not None:
            return self._track(action, now_ns)
        is_dry = self._schedule.is_dry(now_ns)
        if self._lockstep or not is_dry:
            # Either the action of this step was handed out already, or the next chunk has not begun.
            return self._between(now_ns, is_dry)
        self._underruns += 1
        self._enter(Mode.HOLDING, *self._dry(now_ns))
        return self._hold(now_ns)

    @property
    def can_hold(self) -> bool:
        """Whether there is a pose to hold: an unmeasured gripper has none before its first command."""
        return self._follower.can_hold

    @property
    def answers_at_once(self) -> bool:
        """Whether a new chunk may be answered before the period is over; a change waits for its step."""
        return self._follower.is_continuous

    def _is_early(self, now_ns: int) -> bool:
        """Tracked commands are samples of one motion: two at once would be none."""
        if self._sent_ns is None or not self._follower.is_tracked:
            return False
        return now_ns - self._sent_ns < self.shortest_period_ns

    @property
    def shortest_period_ns(self) -> int:
        """Time between two tracked commands, at least [ns]."""
        return self._robot.period_ns // (4 if self.answers_at_once else 2)

    def _track(self, action: ScheduledAction, now_ns: int) -> Command:
        is_new = action is not self._action
        values = self._follower.follow(action, is_new, now_ns, self._elapsed_ns, self._state)
        self._action, self._sent_ns = action, now_ns
        self._enter(Mode.TRACKING, Reason.NONE, "")
        stamp_ns = now_ns if self._follower.is_continuous else action.due_ns
        return Command(values, action, stamp_ns, self._follower.velocity)

    def _between(self, now_ns: int, is_dry: bool) -> Command:
        if self.mode is not Mode.TRACKING:
            return self._hold(now_ns)
        if self._follower.is_continuous and self._action is not None and not is_dry:
            return self._track(self._action, now_ns)
        return Command(None, None, now_ns)

    def _obstacle(self, now_ns: int) -> tuple[Mode, Reason, str] | None:
        """What forbids to execute anything now, whatever the schedule says."""
        newest = self._schedule.newest
        if newest is None:
            problem = self._cannot_begin(now_ns)
            if problem is None and self._rejection is not None:
                return self.mode, Reason.CHUNK_REJECTED, f"the last chunk was rejected: {self._rejection}"
            return problem or (self.mode, self.reason, self.text)
        stale = self._state.obstacle(now_ns)
        if stale:
            return Mode.HOLDING, Reason.OBSERVATION_STALE, stale
        if (now_ns - newest.stamp_ns) / 1e9 > self._robot.chunk_timeout_s:
            return Mode.HOLDING, *self._dry(now_ns)
        return None

    def _cannot_begin(self, now_ns: int) -> tuple[Mode, Reason, str] | None:
        """Takes the measured pose for the commanded one, once it is known; the fault if it is impossible."""
        if not self._follower.may_begin or self._state.obstacle(now_ns):
            return None
        problem = self._follower.begin(self._state)
        if not problem:
            return None
        text = f"{problem}; move the arm inside by other means, then reset: it will not be made to jump"
        return Mode.FAULT, Reason.OUTSIDE_LIMITS, text

    def _dry(self, now_ns: int) -> tuple[Reason, str]:
        """Why there is nothing to execute although there was a chunk."""
        newest = self._schedule.newest
        assert newest is not None
        age_s = (now_ns - newest.stamp_ns) / 1e9
        if self._rejection is not None:
            return Reason.CHUNK_REJECTED, f"the last chunk was rejected: {self._rejection}"
        if age_s > self._robot.chunk_timeout_s:
            limit = f"limit {self._robot.chunk_timeout_s:g} s; is the policy running?"
            return Reason.CHUNK_STALE, f"chunk {newest.chunk_id} was observed {age_s:.2f} s ago, {limit}"
        return (
            Reason.UNDERRUN,
            f"all actions of chunk {newest.chunk_id} are executed, observed {age_s:.2f} s ago",
        )

    def _hold(self, now_ns: int) -> Command:
        values = None if self._lockstep else self._follower.hold(now_ns, self._elapsed_ns, self._state)
        if values is not None:
            self._sent_ns = now_ns
        return Command(values, None, now_ns, self._follower.velocity)

    def _enter(self, mode: Mode, reason: Reason, text: str) -> None:
        if mode is not Mode.TRACKING:
            self._follower.latch(self._state)
        self.mode, self.reason, self.text = mode, reason, text

    def starve(self, silence_s: float) -> None:
        """No chunk for ``silence_s`` of wall time while tracking: also stops a clock that stands still."""
        if self.mode is Mode.TRACKING:
            self._enter(
                Mode.HOLDING,
                Reason.UNDERRUN,
                f"no chunk for {silence_s:.1f} s of wall time; is the policy running?",
            )

    def paused(self) -> None:
        """Nothing was commanded for so long that the arm came to rest; motion begins again there."""
        self._follower.rest()

    def clock_jumped(self, jump_s: float) -> None:
        """Time went back by ``-jump_s``: nothing planned or observed before holds any more."""
        self._schedule.reset()
        self._state.forget_times()
        self._follower.forget_times()
        self._last_ns = self._sent_ns = None
        if self.mode in (Mode.TRACKING, Mode.HOLDING):
            self._enter(
                Mode.HOLDING, Reason.CLOCK_JUMP, f"the clock jumped by {jump_s:.3f} s; waiting for a chunk"
            )

    def estop(self) -> None:
        """Stops as fast as the limits permit and stays stopped until ``reset``."""
        self._follower.halt()
        self._enter(Mode.ESTOP, Reason.ESTOP, "emergency stop; reset it to go on")

    def fault(self, text: str) -> None:
        """Stops because something inside broke, until ``reset``."""
        self._follower.halt()
        self._enter(Mode.FAULT, Reason.INTERNAL_ERROR, text)

    def reset(self) -> bool:
        """Releases a latched stop or fault; False if there was none. What was planned is forgotten."""
        if self.mode not in (Mode.FAULT, Mode.ESTOP):
            return False
        self._schedule.reset()
        self._follower.halt()
        self._follower.restart_ramp()
        self._enter(Mode.IDLE, Reason.NO_CHUNK, "reset; waiting for a chunk")
        return True

    def status(self, now_ns: int) -> Status:
        """A picture of now for a person or a message."""
        newest = self._schedule.newest
        return Status(
            mode=self.mode,
            reason=self.reason,
            text=self.text,
            chunk_id=0 if newest is None else newest.chunk_id,
            chunk_age_s=0.0 if newest is None else (now_ns - newest.stamp_ns) / 1e9,
            actions_left=self._schedule.remaining(now_ns),
            accepted=self._accepted,
            rejected=self._rejected,
            expired=self._schedule.expired,
            underruns=self._underruns,
            last_rejection=self._last_rejection,
            clipped=self._follower.counts,
            braked=self._follower.braked,
        )
