"""The controller's mode with its reason, and the events that change them."""

from __future__ import annotations

from dataclasses import replace

from asyncvla_ros.control.types import Mode, Reason, Verdict

NOT_ACTIVE = Verdict(Mode.IDLE, Reason.INACTIVE, "not active")


class Situation:
    """Keep the controller's mode, reason and text.

    ::

        IDLE ──first action due──> TRACKING <──next chunk── HOLDING
                                      │ exhausted, stale, not ours, clock jump ─┘^
        any ──estop──> ESTOP, any ──error──> FAULT; both latched until ``reset``, then IDLE

    Attributes:
        now: The present mode, with its reason.
    """

    def __init__(self) -> None:
        self.now = NOT_ACTIVE

    def activate(self, latch: Verdict | None) -> None:
        """Wait for a chunk, unless a stop is latched."""
        self.now = latch or Verdict(Mode.IDLE, Reason.NO_CHUNK, "no chunk received since activation")

    def deactivate(self) -> None:
        """Note the end of an activation."""
        self.now = Verdict(Mode.IDLE, Reason.INACTIVE, "deactivated")

    def reset(self, *, is_active: bool) -> None:
        """Wait for a chunk after a latched stop was released."""
        waiting = Verdict(Mode.IDLE, Reason.NO_CHUNK, "reset; waiting for a chunk")
        self.now = waiting if is_active else NOT_ACTIVE

    def track(self) -> None:
        """Note that an action is executed."""
        self.now = Verdict(Mode.TRACKING, Reason.NONE, "")

    def forbid(self, forbidden: Verdict) -> None:
        """Adopt what forbids motion; an idle controller stays idle unless it is latched."""
        is_idle = self.now.mode is Mode.IDLE and forbidden.mode is Mode.HOLDING
        self.now = replace(forbidden, mode=Mode.IDLE) if is_idle else forbidden

    def time_out(self, silence_s: float, *, lockstep: bool) -> None:
        """Hold because no chunk has come for ``silence_s`` of wall time."""
        cause = "the world waits" if lockstep else "is the policy running?"
        text = f"no chunk for {silence_s:.1f} s of wall time; {cause}"
        self.now = Verdict(Mode.HOLDING, Reason.UNDERRUN, text)

    def jump(self, jump_s: float) -> None:
        """Hold, if active, because the clock jumped back by ``-jump_s``."""
        if self.now.mode in (Mode.TRACKING, Mode.HOLDING):
            text = f"the clock jumped by {jump_s:.3f} s; waiting for a chunk"
            self.now = Verdict(Mode.HOLDING, Reason.CLOCK_JUMP, text)
