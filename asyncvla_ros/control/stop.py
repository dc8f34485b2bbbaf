"""The stop and the hold after it: one named state."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from asyncvla_ros.control.rest_pose import agreement, hold_position, measured_rest
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.robot.contract import Dof

# A measurement shows where an arm rests only so long after its command came to rest [ns].
SETTLE_NS = 100_000_000
# So near a pose is reached [unit].
REACHED = 1e-6


class StopState(enum.Enum):
    """What a stop has come to.

    ::

        BRAKING ────┬─at rest─> SETTLING ─seen at rest─> HOLDING
        EMERGENCY ──┘               ^ there   │ elsewhere   │ moved by hand
                                    └─── ADJUSTING <────────┘
    """

    #: On the way to rest. While an action is followed too: a stop may begin with any command.
    BRAKING = "braking"
    #: The same within the limits of an emergency stop; it runs to its end, whatever was reset meanwhile.
    EMERGENCY = "emergency"
    #: At rest; waits until it is seen where the arm rests.
    SETTLING = "settling"
    #: The commanded pose moves to where the arm rests.
    ADJUSTING = "adjusting"
    #: Stays where it is.
    HOLDING = "holding"


class Stop:
    """Leads a stop from braking to a hold, and chooses its pose from the commanded and the measured one.

    After each motion, and only then, the commanded pose moves to where several samples agree that the arm
    rests, if that is within the following-error limit; by the nearest turn. An arm that sags sinks once, not
    with every stop. An arm that does not obey may be moved by hand: then the hold goes with it.

    Args:
        dofs: The tracked ones, in order.

    Attributes:
        state: The named state.
        left: (k,) commanded and measured pose of the last hold [unit]; None: it is not known where the arm
            was left. It outlives deactivation, see ``Start``.
    """

    def __init__(self, dofs: Sequence[Dof]):
        self._dofs = tuple(dofs)
        self.state = StopState.BRAKING
        self.left: list[tuple[float, float]] | None = None
        #: Whether a motion ended here whose rest pose was not adopted yet.
        self._has_moved = False
        #: Since when it settles or holds [ns, node clock].
        self._since_ns = 0
        #: (k,) where it adjusts to [unit].
        self._goals: list[float] = []

    def restart(self, *, is_elsewhere: bool) -> None:
        """Whatever was commanded is over; from elsewhere it is not known either where the arm was left."""
        self.state = StopState.BRAKING
        if is_elsewhere:
            self.left, self._has_moved = None, False

    def note_motion(self) -> None:
        """An action is followed: the next hold is another one, and no stop is left to be ended."""
        self.state, self.left, self._has_moved = StopState.BRAKING, None, True

    def brake(self, *, is_emergency: bool = False) -> None:
        """It begins anew, whatever hold it was moving to; an emergency stop goes on as one."""
        if is_emergency or self.state is StopState.EMERGENCY:
            self.state = StopState.EMERGENCY
        else:
            self.state = StopState.BRAKING

    def reconsider(self) -> None:
        """Where the hold stays is to be chosen again."""
        self.brake()
        self.left = None

    @property
    def is_emergency(self) -> bool:
        """Whether the limits of an emergency stop count."""
        return self.state is StopState.EMERGENCY

    @property
    def is_settled(self) -> bool:
        """Whether the arm was seen at rest, and the hold is where it is to stay."""
        return self.left is not None

    def goals(
        self, commanded: Sequence[float], state: RobotState, now_ns: int, *, at_rest: bool, has_let_go: bool
    ) -> list[float] | None:
        """Takes the stop one command farther.

        Args:
            commanded: (k,) where the dofs are commanded to be [unit].
            at_rest: Whether they are commanded to stand there.
            state: The measured state.
            now_ns: [ns, node clock].
            has_let_go: Whether the arm may be anywhere.

        Returns:
            (k,) where the hold goes [unit]; None: to rest, or it stays there.
        """
        if self.state is StopState.ADJUSTING:
            if not self._has_arrived(commanded):
                return self._goals
            self._settle(now_ns)
        elif not at_rest:
            return None
        elif self.state in (StopState.BRAKING, StopState.EMERGENCY):
            self._settle(now_ns)
        rested = self._rested(state)
        if rested is None:
            return None
        triples = zip(self._dofs, commanded, rested, strict=True)
        goals = [hold_position(dof, at, measured, has_let_go=has_let_go) for dof, at, measured in triples]
        if self._has_moved or (has_let_go and self._is_elsewhere(goals, commanded)):
            self.state, self._goals, self._has_moved = StopState.ADJUSTING, goals, False
            return goals
        self.state, self.left = StopState.HOLDING, list(zip(commanded, rested, strict=True))
        return None

    def _settle(self, now_ns: int) -> None:
        self.state, self._since_ns = StopState.SETTLING, now_ns

    def _has_arrived(self, commanded: Sequence[float]) -> bool:
        return max(abs(at - goal) for at, goal in zip(commanded, self._goals, strict=True)) <= REACHED

    def _rested(self, state: RobotState) -> list[float] | None:
        """(k,) where the arm rests [unit]; None while that is not seen."""
        measured = [measured_rest(dof, state, self._since_ns + SETTLE_NS) for dof in self._dofs]
        rested = [value for value in measured if value is not None]
        return rested if len(rested) == len(measured) else None

    def _is_elsewhere(self, goals: Sequence[float], commanded: Sequence[float]) -> bool:
        return any(
            abs(goal - at) > agreement(dof)
            for dof, goal, at in zip(self._dofs, goals, commanded, strict=True)
        )
