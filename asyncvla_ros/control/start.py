"""The start of motion of tracked dofs: its pose, and whether motion has begun."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence

import numpy as np

from asyncvla_ros.control.rest_pose import agreement, measured_rest
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.stop import Stop
from asyncvla_ros.control.supervisor import nearest
from asyncvla_ros.control.tool_guard import ToolGuard
from asyncvla_ros.control.tracker import JerkLimitedTracker
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import following_limit

#: After its first states a new driver is noticed within this time: ROS discovers one topic after the other.
ARRIVAL_NS = 500_000_000


class StartState(enum.Enum):
    """State of the start of a motion.

    ::

        WAITING ──seen at rest──> READY ──first command──> COMMANDED      any ──restart──> WAITING
                                    ^                          │
                                    └──nobody has heard it─────┘
    """

    #: The arm was not seen at rest yet, or cannot be moved from its rest pose.
    WAITING = "waiting"
    #: The tracker stands at the rest pose; if others move the arm, it starts again.
    READY = "ready"
    #: A command was computed: the arm follows commands.
    COMMANDED = "commanded"


class Start:
    """Start commands at the pose where an arm rests.

    The rest pose under the last command outlives deactivation: an arm that is measured there again, or at its
    commanded pose, starts at the command its driver received last. So does one that was out of sight, if
    every dof is measured where a driver that follows that command may be: how far it sagged, or still lagged,
    nobody saw. A new driver is noticed by its arrival, which may be later than its first states.

    Args:
        dofs: The tracked ones, in order.
        tracker: Tracker of these dofs.
        stop: Knows the pose of the last hold.
        guard: Limits the speed of a driver; None: no limit.
    """

    def __init__(self, dofs: Sequence[Dof], tracker: JerkLimitedTracker, stop: Stop, guard: ToolGuard | None):
        self._dofs, self._tracker, self._stop, self._guard = tuple(dofs), tracker, stop, guard
        self._state = StartState.WAITING
        self._unknown = [math.nan] * len(self._dofs)
        #: (k,) last command of the drivers [unit].
        self._told = self._unknown
        #: Whether the drivers received a command since they connected.
        self._has_been_told = False
        #: Whether the arm was out of sight since the last command.
        self._was_unseen = False
        #: Since when it is seen again [ns, steady]; 0: it is not.
        self._seen_ns = 0
        self._forget_seen()

    def _forget_seen(self) -> None:
        #: (k,) least and greatest position measured since drivers came elsewhere [unit].
        self._seen = np.array(self._unknown), np.array(self._unknown)

    @property
    def has_begun(self) -> bool:
        """Whether motion has a start pose; always true without dofs."""
        return not self._dofs or self._state is not StartState.WAITING

    @property
    def may_begin(self) -> bool:
        """Whether nothing was commanded yet, so that the start still follows the measured arm."""
        return bool(self._dofs) and self._state is not StartState.COMMANDED

    def restart(self, *, is_elsewhere: bool, is_unseen: bool = False) -> None:
        """Drop the command; the next one starts where the arm rests then.

        Args:
            is_elsewhere: Whether the driver no longer holds its last command.
            is_unseen: Whether the arm is out of sight.
        """
        self._state = StartState.WAITING
        if is_unseen:
            self._was_unseen, self._seen_ns = True, 0
        self._has_been_told &= not is_elsewhere
        if is_elsewhere:
            self._tracker.leave()
            self._told = self._unknown
            self._forget_seen()
        elif self._has_been_told:
            self._told = self._tracker.positions

    def reconsider(self) -> None:
        """Let the start follow the arm again, because no driver has received a command yet."""
        if self._state is StartState.COMMANDED:
            self._state = StartState.READY

    def note_command(self) -> None:
        """Note that a command was computed, so that the start is fixed."""
        self._state, self._was_unseen = StartState.COMMANDED, False

    def note_told(self) -> None:
        """Note that the command is sent to the drivers."""
        self._has_been_told |= self.has_begun

    def begin(self, state: RobotState, at_ns: int) -> str:
        """Set the start to where the arm is seen at rest; set it again if the arm rests elsewhere.

        Args:
            state: The measured state.
            at_ns: [ns, steady].

        Returns:
            Why the arm cannot be moved from there; an empty text if it can.
        """
        self._note_seen(state)
        self._seen_ns = self._seen_ns or at_ns
        pose = self._pose(state, at_ns)
        if pose is None or (self.has_begun and self._is_commanded(pose)):
            return ""
        slowest_s = (
            0.0 if self._guard is None else self._guard.slowest_s(self._tracker.positions, pose, state)
        )
        ways = np.nan_to_num(np.maximum(pose - self._seen[0], self._seen[1] - pose)).tolist()
        problem = self._tracker.begin(pose, at_ns, slowest_s, ways)
        self._state = StartState.WAITING if problem else StartState.READY
        return problem

    def _note_seen(self, state: RobotState) -> None:
        """Widen the range in which a driver that came elsewhere may stand."""
        measured = [state.value(dof.name) for dof in self._dofs]
        self._seen = np.fmin(self._seen[0], measured), np.fmax(self._seen[1], measured)

    def _pose(self, state: RobotState, at_ns: int) -> list[float] | None:
        """Return the start pose (k,) [unit]; None until the arm is seen at rest and arrivals are known.

        The last command of a driver counts more than a measurement; a gripper always keeps it.
        """
        rests = []
        for told, dof in zip(self._told, self._dofs, strict=True):
            keeps = dof.holds_command and not math.isnan(told)
            rest = told if keeps else measured_rest(dof, state)
            if rest is None:
                return None
            rests.append(rest)
        # One dof that is farther away is enough: another driver has the arm, elsewhere.
        follows = self._was_unseen and all(
            dof.is_delta or self._stands(place, rest, following_limit)
            for place, (dof, rest) in enumerate(zip(self._dofs, rests, strict=True))
        )
        pose = []
        for place, (dof, told, rest) in enumerate(zip(self._dofs, self._told, rests, strict=True)):
            is_there = self._stands(place, rest, agreement)
            if follows and not is_there and not dof.is_delta:
                if at_ns - self._seen_ns < ARRIVAL_NS:
                    return None
                is_there = True
            pose.append(told if is_there and not math.isnan(told) else rest)
        return pose

    def _stands(self, place: int, rest: float, reach: Callable[[Dof], float]) -> bool:
        """Return whether a dof rests within reach of its last command, or of where the last hold left it."""
        dof, told = self._dofs[place], self._told[place]
        stood = [told] if self._stop.left is None else [told, self._stop.left[place][1]]
        return any(abs(nearest(dof, rest, at) - at) <= reach(dof) for at in stood)

    def _is_commanded(self, pose: Sequence[float]) -> bool:
        """Return whether a pose (k,) equals the commanded one within the tolerance of agreement."""
        return all(
            dof.is_delta or abs(one - other) <= agreement(dof) or (math.isnan(one) and math.isnan(other))
            for dof, one, other in zip(self._dofs, pose, self._tracker.positions, strict=True)
        )
