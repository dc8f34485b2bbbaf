"""A controller, and what must be true of all that it does, whatever happens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asyncvla_ros.bench.safety_contracts import joint_arm
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Command, Mode, Reason
from support.contracts import MS
from support.limits import HoldingDriver

ARM = replace(joint_arm(), ramp_s=0.0)
LOW, HIGH = (np.array([getattr(dof, name) for dof in ARM.dofs]) for name in ("minimum", "maximum"))
GRIPS = np.array([dof.holds_command for dof in ARM.dofs])
MEASURED = len(ARM.state_names)
CHUNK_NS, SEEN_NS = round(ARM.chunk_timeout_s * 1e9), round(ARM.observation_timeout_s * 1e9)
# The slowest stop of this arm takes 0.6 s; then it is seen at rest, and the hold goes to where that is: from
# anywhere, if it was held fast [ns].
STOPPED_NS, RETURNED_NS = 1_000 * MS, 3_500 * MS
MODES = {
    Reason.NONE: (Mode.TRACKING,),
    Reason.INACTIVE: (Mode.IDLE,),
    Reason.ESTOP: (Mode.ESTOP,),
    Reason.INTERNAL_ERROR: (Mode.FAULT,),
    Reason.FOLLOWING_ERROR: (Mode.FAULT, Mode.HOLDING, Mode.IDLE),
}


class JudgedController:
    """Runs a controller for an arm that obeys, unless somebody holds it fast.

    What is asserted follows from what came and from what was asked for, which is noted here.

    Args:
        pose: (d,) where the arm is [unit].
    """

    def __init__(self, pose: np.ndarray):
        self.controller = Controller(ARM)
        self.node_ns, self.steady_ns = 10**12, 5 * 10**11
        self.arm = pose
        self.driver = HoldingDriver(ARM, np.where(np.arange(len(pose)) < MEASURED, pose, np.nan))
        #: Where somebody holds it fast.
        self.blocked_at: np.ndarray | None = None
        self.was_blocked = self.is_estopped = self.is_faulty = self.is_known = False
        self.is_seen = True
        self.session_id, self.chunk_id = 1, 0
        self._forget(is_active=False)

    def _forget(self, *, is_active: bool) -> None:
        """Activate the controller, which then knows nothing of what came before."""
        self.is_active = is_active
        self.newest: StampedChunk | None = None
        self.seen_ns: int | None = None
        self.is_broken = self.is_rejected = self.has_timed_out = self.has_jumped = self.has_moved = False
        #: When each reason was true last [ns, steady].
        self._true_ns: dict[Reason, int] = {}
        self.note_unrest()

    def note_unrest(self) -> None:
        """Something may move from now on."""
        self._unrest_ns = self.steady_ns

    def start(self) -> None:
        """Activation."""
        self._forget(is_active=True)
        self.controller.start()

    def stop(self) -> None:
        """Deactivation, to its end."""
        self.is_active = False
        self.note_unrest()
        self.steady_ns += MS
        self._judge(self.controller.stop(self.node_ns, self.steady_ns))
        began_ns = self.steady_ns
        while not self.controller.at_rest:
            self.run(1)
            assert self.steady_ns - began_ns < STOPPED_NS, "a stop ends"

    def send(self, actions: np.ndarray, age_ms: int = 0) -> None:
        """Receive a chunk of (l, d) actions whose observation has this age."""
        if not self.is_active:
            return
        self._note_truths()
        self.chunk_id += 1
        stamp_ns, names = self.node_ns - age_ms * MS, ARM.dof_names
        form = (stamp_ns, ARM.action_period_ns, ARM.action_space, names, actions.astype(np.float32))
        chunk = StampedChunk(self.session_id, self.chunk_id, *form)
        self.is_rejected = self.controller.accept(chunk, self.node_ns) is not None
        if not self.is_rejected:
            self.newest, self.has_jumped, self.has_timed_out = chunk, False, False
            self.note_unrest()

    def measured(self) -> np.ndarray:
        """(m,) where the measured joints are [unit]."""
        where = self.arm if self.blocked_at is None else np.where(GRIPS, self.arm, self.blocked_at)
        return where[:MEASURED].copy()

    def see(self, values: np.ndarray) -> None:
        """Measure the arm at (m,) values [unit]."""
        if not self.is_active:
            return
        named = dict(zip(ARM.state_names, values.tolist(), strict=True))
        self.controller.observe("joint_states", self.node_ns, named)
        self.seen_ns, self.is_broken, self.is_known = self.node_ns, False, True

    def run(self, periods: int, late_ns: int = 0, *, is_sent: bool = True, is_seen: bool = True) -> None:
        """Run this many steps, each ``late_ns`` longer than a period; judge what arm and driver are told."""
        for _ in range(periods):
            if not self.is_active and self.controller.at_rest:
                return
            if self.is_seen and is_seen:
                self.see(self.measured())
            self.node_ns += ARM.command_period_ns + late_ns
            self.steady_ns += ARM.command_period_ns + late_ns
            self._judge(self.controller.update(self.node_ns, self.steady_ns), is_sent=is_sent)

    def _judge(self, command: Command, *, is_sent: bool = True) -> None:
        self._judge_action(command)
        self._judge_reason(is_followed=command.action is not None)
        if command.values is None:
            return
        assert self.is_known, "nothing is sent before the pose is known"
        if not is_sent:
            self.controller.take_back()
            return
        self.driver.hear(command.at_ns, command.values)
        assert not self.driver.breaks
        after = np.where(np.isnan(command.values), self.arm, command.values)
        if self.steady_ns - self._unrest_ns > (RETURNED_NS if self.was_blocked else STOPPED_NS):
            assert np.abs(after - self.arm).max() < 1e-9, "it stands, once nothing has happened for long"
            assert self.controller.at_rest
        self.arm = after

    def _judge_action(self, command: Command) -> None:
        """Only what is due of a chunk of now is followed, by an arm that is seen and ours."""
        if command.action is None:
            return
        self.has_moved, self._unrest_ns = True, self.steady_ns
        assert self.is_active and not (self.is_estopped or self.is_faulty or self._is_unseen())
        assert self.newest is not None and not self.newest.is_end and not self.has_timed_out
        assert self._newest_age_ns() <= CHUNK_NS and command.action.due_ns <= self.node_ns

    def _judge_reason(self, *, is_followed: bool) -> None:
        """Check that the reason is true now, or was less than a step ago: a hold ends with a due action."""
        self._note_truths()
        reason, mode = self.controller.reason, self.controller.mode
        assert mode in MODES.get(reason, (Mode.IDLE, Mode.HOLDING))
        assert is_followed <= (mode is Mode.TRACKING)
        since_ns = self.steady_ns - self._true_ns.get(reason, 0)
        assert since_ns <= ARM.action_period_ns, f"{reason.name}: {self.controller.text}"

    def _note_truths(self) -> None:
        for reason, is_true in self._truths().items():
            if is_true:
                self._true_ns[reason] = self.steady_ns

    def _truths(self) -> dict[Reason, bool]:
        """Whether each reason may be given."""
        newest = self.newest
        ends_ns = None if newest is None else newest.stamp_ns + len(newest.actions) * newest.action_period_ns
        return {
            Reason.NONE: newest is not None,
            Reason.INACTIVE: not self.is_active,
            Reason.NO_CHUNK: newest is None or not self.has_moved,
            Reason.UNDERRUN: self.has_timed_out or (ends_ns is not None and self.node_ns >= ends_ns),
            Reason.CHUNK_STALE: newest is not None and self._newest_age_ns() > CHUNK_NS,
            Reason.OBSERVATION_STALE: self._is_unseen(),
            Reason.CHUNK_REJECTED: self.is_rejected,
            Reason.CLOCK_JUMP: self.has_jumped,
            Reason.ESTOP: self.is_estopped,
            Reason.INTERNAL_ERROR: self.is_faulty,
            Reason.FOLLOWING_ERROR: self.was_blocked,
            Reason.TASK_ENDED: newest is not None and newest.is_end,
        }

    def _newest_age_ns(self) -> int:
        assert self.newest is not None
        return self.node_ns - self.newest.stamp_ns

    def _is_unseen(self) -> bool:
        age_ns = None if self.seen_ns is None else self.node_ns - self.seen_ns
        return self.is_broken or age_ns is None or abs(age_ns) > SEEN_NS
