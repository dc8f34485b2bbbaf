"""Where the motion of tracked dofs begins, and whether it has."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import numpy as np

from asyncvla_ros.control.rest_pose import agreement, measured_rest
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.control.stop import Stop
from asyncvla_ros.control.supervisor import nearest
from asyncvla_ros.control.tool_guard import ToolGuard
from asyncvla_ros.control.tracker import JerkLimitedTracker
from asyncvla_ros.robot.contract import Dof


class StartState(enum.Enum):
    """How far the beginning of a motion is.

    ::

        WAITING ──seen at rest──> READY ──first command──> COMMANDED      any ──restart──> WAITING
                                    ^                          │
                                    └──nobody has heard it─────┘
    """

    #: The arm was not seen at rest yet, or cannot be moved from there.
    WAITING = "waiting"
    #: The tracker stands where the arm rests; others may still move the arm, and it begins anew.
    READY = "ready"
    #: Something was commanded: the arm is where it was told to be.
    COMMANDED = "commanded"


class Start:
    """Takes the pose at which an arm rests for the commanded one.

    Where the arm rested under its last command outlives deactivation: an arm that is measured there again, or
    where it was commanded to be, begins at what its driver was told last.

    Args:
        dofs: The tracked ones, in order.
        tracker: Of these dofs.
        stop: Knows where the arm was left.
        guard: Says how slowly a driver must go, None: nobody does.
    """

    def __init__(self, dofs: Sequence[Dof], tracker: JerkLimitedTracker, stop: Stop, guard: ToolGuard | None):
        self._dofs, self._tracker, self._stop, self._guard = tuple(dofs), tracker, stop, guard
        self._state = StartState.WAITING
        self._unknown = [math.nan] * len(self._dofs)
        #: (k,) what the drivers were told last [unit].
        self._told = self._unknown
        #: Whether they were told anything since they came.
        self._has_been_told = False
        self._forget_seen()

    def _forget_seen(self) -> None:
        #: (k,) least and greatest position that was measured since drivers came elsewhere [unit].
        self._seen = np.array(self._unknown), np.array(self._unknown)

    @property
    def has_begun(self) -> bool:
        """Whether there is a pose from which the motion goes on; without dofs there always is."""
        return not self._dofs or self._state is not StartState.WAITING

    @property
    def may_begin(self) -> bool:
        """Whether nothing was commanded yet: until then others may move the arm, and it begins anew."""
        return bool(self._dofs) and self._state is not StartState.COMMANDED

    def restart(self, *, is_elsewhere: bool) -> None:
        """Whatever was commanded is over: what comes next begins where the arm rests then.

        Args:
            is_elsewhere: Whether the driver does not hold what it was told last any more.
        """
        self._state = StartState.WAITING
        self._has_been_told &= not is_elsewhere
        if is_elsewhere:
            self._tracker.leave()
            self._told = self._unknown
            self._forget_seen()
        elif self._has_been_told:
            self._told = self._tracker.positions

    def reconsider(self) -> None:
        """Nobody has heard a command yet: it begins where the arm rests, should that change."""
        if self._state is StartState.COMMANDED:
            self._state = StartState.READY

    def note_command(self) -> None:
        """A command is made: the motion has begun for good."""
        self._state = StartState.COMMANDED

    def note_told(self) -> None:
        """A command goes to the drivers."""
        self._has_been_told |= self.has_begun

    def begin(self, state: RobotState, at_ns: int) -> str:
        """Begins where the arm rests, as soon as that is seen, and anew should it rest elsewhere.

        Args:
            state: The measured state.
            at_ns: [ns, steady].

        Returns:
            Why the arm cannot be moved from there, or an empty text.
        """
        self._note_seen(state)
        pose = self._pose(state)
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
        """A driver that came elsewhere stands where the arm was at some time since then."""
        measured = [state.value(dof.name) for dof in self._dofs]
        self._seen = np.fmin(self._seen[0], measured), np.fmax(self._seen[1], measured)

    def _pose(self, state: RobotState) -> list[float] | None:
        """(k,) where the motion begins [unit]; None until the arm is seen at rest.

        What a driver was told last counts more than what is measured; a gripper keeps it anyway.
        """
        pose = []
        for place, dof in enumerate(self._dofs):
            told = self._told[place]
            if dof.holds_command and not math.isnan(told):
                pose.append(told)
                continue
            measured = measured_rest(dof, state)
            if measured is None:
                return None
            stood = [told] if self._stop.left is None else [told, self._stop.left[place][1]]
            is_there = any(abs(nearest(dof, measured, at) - at) <= agreement(dof) for at in stood)
            pose.append(told if is_there and not math.isnan(told) else measured)
        return pose

    def _is_commanded(self, pose: Sequence[float]) -> bool:
        """Whether (k,) a pose is the one that is commanded, as far as one can tell."""
        return all(
            dof.is_delta or abs(one - other) <= agreement(dof) or (math.isnan(one) and math.isnan(other))
            for dof, one, other in zip(self._dofs, pose, self._tracker.positions, strict=True)
        )
