"""The stop and the hold after it, as one state machine."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from asyncvla_ros.control.rest_pose import agreement, hold_position, measured_rest
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.robot.contract import Dof

# Time from the rest of the command until measurements show the arm at rest [ns].
SETTLE_NS = 100_000_000
# Tolerance of a reached pose [unit].
REACHED = 1e-6


class StopState(enum.Enum):
    """State of a stop.

    ::

        BRAKING ────┬─at rest─> SETTLING ─seen at rest─> HOLDING
        EMERGENCY ──┘               ^ there   │ elsewhere   │ moved by hand
                                    └─── ADJUSTING <────────┘
    """

    #: On the way to rest; also while actions are followed, because a stop may begin with any command.
    BRAKING = "braking"
    #: The same within the limits of an emergency stop; a reset does not end it.
    EMERGENCY = "emergency"
    #: At rest; waits until the arm is seen at rest.
    SETTLING = "settling"
    #: The commanded pose moves to the measured rest pose.
    ADJUSTING = "adjusting"
    #: Stays.
    HOLDING = "holding"


class Stop:
    """Lead a stop from braking to a hold at the commanded or the measured pose.

    After each motion, and only then, the commanded pose moves to where several samples agree that the arm
    rests, by the nearest turn, if that is within the following-error limit. So an arm that sags sinks once,
    not with every stop. An arm that obeys nobody may be moved by hand; then the hold follows it.

    Args:
        dofs: The tracked ones, in order.

    Attributes:
        state: The named state.
        left: (k,) commanded and measured pose of the last hold [unit]; None: unknown. It outlives
        deactivation, see ``Start``.
    """

    def __init__(self, dofs: Sequence[Dof]):
        self._dofs = tuple(dofs)
        self.state = StopState.BRAKING
        self.left: list[tuple[float, float]] | None = None
        #: Whether a motion has ended whose rest pose was not adopted yet.
        self._has_moved = False
        #: Start of settling or holding [ns, node clock].
        self._since_ns = 0
        #: (k,) goals of adjusting [unit].
        self._goals: list[float] = []

    def restart(self, *, is_elsewhere: bool) -> None:
        """Drop the stop and its hold; also forget the pose of the last hold if a driver is elsewhere."""
        self.state = StopState.BRAKING
        if is_elsewhere:
            self.left, self._has_moved = None, False

    def note_motion(self) -> None:
        """Note that an action is followed, so that the next hold is a new one."""
        self.state, self.left, self._has_moved = StopState.BRAKING, None, True

    def brake(self, *, is_emergency: bool = False) -> None:
        """Begin the stop again, also on the way to a hold; an emergency stop stays one."""
        if is_emergency or self.state is StopState.EMERGENCY:
            self.state = StopState.EMERGENCY
        else:
            self.state = StopState.BRAKING

    def reconsider(self) -> None:
        """Choose the pose of the hold again."""
        self.brake()
        self.left = None

    @property
    def is_emergency(self) -> bool:
        """Whether the limits of an emergency stop apply."""
        return self.state is StopState.EMERGENCY

    @property
    def is_settled(self) -> bool:
        """Whether the arm was seen at rest and the hold has its final pose."""
        return self.left is not None

    def goals(
        self, commanded: Sequence[float], state: RobotState, now_ns: int, *, at_rest: bool, has_let_go: bool
    ) -> list[float] | None:
        """Advance the stop by one command.

        Args:
            commanded: (k,) commanded positions [unit].
            at_rest: Whether the commands stand still.
            state: The measured state.
            now_ns: [ns, node clock].
            has_let_go: Whether the arm obeys nobody.

        Returns:
            (k,) goals of the hold [unit]; None: come to rest, or stay.
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
        """Return the measured rest pose (k,) [unit]; None while the arm is not seen at rest."""
        measured = [measured_rest(dof, state, self._since_ns + SETTLE_NS) for dof in self._dofs]
        rested = [value for value in measured if value is not None]
        return rested if len(rested) == len(measured) else None

    def _is_elsewhere(self, goals: Sequence[float], commanded: Sequence[float]) -> bool:
        return any(
            abs(goal - at) > agreement(dof)
            for dof, goal, at in zip(self._dofs, goals, commanded, strict=True)
        )
