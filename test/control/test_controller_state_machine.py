"""Whatever happens to a controller, in any order: what ``JudgedController`` asserts holds after each command.

Limits of position, velocity, acceleration and jerk as a driver sees them in true time; only actions of fresh
chunks, with a fresh state; a reason that is true; and rest, once nothing has happened for long enough.
"""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from asyncvla_ros.control.types import Mode, Reason
from support.contracts import MS
from support.judged_controller import ARM, HIGH, LOW, MEASURED, JudgedController

# Shares of each range where chunks lead to: up to its ends, and beyond them.
SHARES = st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0, 1.5])
# How much later than a period a step comes [ms].
LATE_MS = st.sampled_from([0, 1, 4, 9, 11, 25, 300])


def _pose(share: float) -> np.ndarray:
    """(d,) at this share of each range; every other joint the other way."""
    way = np.where(np.arange(len(LOW)) % 2, share, 1 - share)
    return LOW + way * (HIGH - LOW)


def _chunk(share: float, length: int = 8) -> np.ndarray:
    return np.tile(_pose(share), (length, 1))


class ControllerMachine(RuleBasedStateMachine):
    """A policy, an arm, two clocks and a person, who do everything in any order."""

    @initialize(share=st.sampled_from([0.1, 0.4, 0.9]), is_moving=st.booleans())
    def begin(self, share: float, *, is_moving: bool) -> None:
        self.judged = JudgedController(_pose(share))
        self.controller = self.judged.controller
        self.judged.start()
        if is_moving:
            self.judged.run(8)
            self.chunk_leads_elsewhere(0.3, 0.7)

    @precondition(lambda self: not self.judged.is_active)
    @rule()
    def activate(self) -> None:
        self.judged.start()

    @precondition(lambda self: self.judged.is_active)
    @rule()
    def deactivate(self) -> None:
        self.judged.stop()

    @rule(share=SHARES, age_ms=st.sampled_from([0, 20, 130, 380]), length=st.sampled_from([1, 8, 30]))
    def chunk_arrives(self, share: float, age_ms: int, length: int) -> None:
        self.judged.send(_chunk(share, length), age_ms)
        self.judged.run(3)

    @rule(first=SHARES, last=SHARES)
    def chunk_leads_elsewhere(self, first: float, last: float) -> None:
        self.judged.send(np.linspace(_pose(first), _pose(last), 8))
        self.judged.run(12)

    @rule(age_ms=st.sampled_from([-400, -40, 450, 600]))
    def chunk_of_another_time_arrives(self, age_ms: int) -> None:
        self.judged.send(_chunk(0.6), age_ms)

    @precondition(lambda self: self.judged.is_active)
    @rule()
    def broken_chunk_arrives(self) -> None:
        self.judged.send(np.full((8, len(LOW)), np.nan))
        assert self.judged.is_rejected

    @rule()
    def task_ends(self) -> None:
        self.judged.send(np.zeros((0, len(LOW))))

    @rule()
    def policy_is_restarted(self) -> None:
        self.judged.session_id, self.judged.chunk_id = self.judged.session_id + 1, 0

    @rule()
    def policy_is_silent(self) -> None:
        self.judged.has_timed_out |= self.controller.mode is Mode.TRACKING
        self.controller.on_policy_timeout(1.0)
        self.judged.note_unrest()

    @rule(periods=st.sampled_from([1, 6, 20, 120]))
    def time_passes(self, periods: int) -> None:
        self.judged.run(periods)

    @rule(late_ms=st.lists(LATE_MS, min_size=1, max_size=12))
    def time_passes_irregularly(self, late_ms: list[int]) -> None:
        for late in late_ms:
            self.judged.run(1, late * MS)

    @rule()
    def command_is_too_late_to_be_sent(self) -> None:
        self.judged.run(1, is_sent=False)

    @rule(jump_ns=st.sampled_from([-5_000 * MS, -1, 700 * MS]))
    def node_clock_jumps(self, jump_ns: int) -> None:
        """Move the node clock forward before the next step."""
        self.judged.node_ns += jump_ns - ARM.command_period_ns
        if jump_ns < 0:
            self.judged.newest, self.judged.seen_ns, self.judged.has_jumped = None, None, True
        self.judged.note_unrest()
        self.judged.run(1, is_seen=False)

    @rule()
    def arm_is_lost_or_found(self) -> None:
        self.judged.is_seen = not self.judged.is_seen

    @precondition(lambda self: self.judged.is_active)
    @rule()
    def state_is_broken(self) -> None:
        self.judged.is_broken = True
        self.controller.observe("joint_states", self.judged.node_ns, {"joint1": float("nan")})
        self.judged.run(1, is_seen=False)

    @rule(joint=st.integers(0, MEASURED - 1))
    def one_sample_is_wrong(self, joint: int) -> None:
        values = self.judged.measured()
        values[joint] = 0.0
        self.judged.see(values)

    @rule(share=SHARES)
    def arm_is_held_fast(self, share: float) -> None:
        self.judged.blocked_at, self.judged.was_blocked = self.judged.arm.copy(), True
        self.judged.send(_chunk(share, 30))
        self.judged.note_unrest()
        self.judged.run(45)

    @rule()
    def arm_is_freed(self) -> None:
        self.judged.blocked_at = None
        self.judged.note_unrest()

    @rule()
    def stop_is_requested(self) -> None:
        self.controller.estop()
        self.judged.is_estopped = True
        self.judged.note_unrest()

    @rule()
    def something_breaks_inside(self) -> None:
        self.controller.fault("test")
        self.judged.is_faulty = True
        self.judged.note_unrest()

    @rule()
    def reset(self) -> None:
        if self.controller.reset():
            self.judged.newest, self.judged.has_moved = None, False
        self.judged.is_estopped = self.judged.is_faulty = False
        self.judged.note_unrest()

    @rule(share=st.sampled_from([0.2, 0.6]))
    def all_is_well_again(self, share: float) -> None:
        """From anywhere: who frees, sees and resets the arm, and has a policy, gets to the goal."""
        self.judged.blocked_at, self.judged.is_seen = None, True
        if not self.judged.is_active:
            self.judged.start()
        self.reset()
        self.judged.run(80)
        for _ in range(14):
            self.judged.send(_chunk(share))
            self.judged.run(20)
            assert (self.controller.mode, self.controller.reason) == (Mode.TRACKING, Reason.NONE)
        assert np.abs(self.judged.arm - _pose(share)).max() < 1e-3


TestController = ControllerMachine.TestCase
TestController.settings = settings(
    max_examples=30, stateful_step_count=30, derandomize=True, deadline=None, database=None
)
