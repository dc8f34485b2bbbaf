"""Where a hold stays: at the commanded rest pose, or once at the measured one near it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from asyncvla_ros.control.robot_state import AGREEMENT, RobotState
from asyncvla_ros.control.supervisor import nearest
from asyncvla_ros.robot.contract import Dof
from asyncvla_ros.robot.motion_limits import following_limit

# A measurement shows where an arm rests only so long after its command came to rest [ns].
SETTLE_NS = 100_000_000
# So near a pose is reached [unit].
REACHED = 1e-6


class RestPose:
    """Chooses the pose of a hold from the commanded and the measured one.

    After each motion, and only then, the commanded pose moves to where several samples agree that the arm
    rests, if that is within the following-error limit; by the nearest turn. An arm that sags sinks once, not
    with every stop. An arm that does not obey may be moved by hand: then the hold goes with it.

    Where the arm rested under its last command outlives deactivation: an arm that is measured there again, or
    where it was commanded to be, begins at what its driver was told last.

    Args:
        dofs: The tracked ones, in order.
    """

    def __init__(self, dofs: Sequence[Dof]):
        self._dofs = tuple(dofs)
        self._has_moved = False
        self._rest_ns: int | None = None
        self._chosen: list[float] | None = None
        self._left: list[tuple[float, float]] | None = None

    def forget(self) -> None:
        """Where the arm was left says nothing any more."""
        self.reconsider()
        self._has_moved = False

    def note_motion(self) -> None:
        """An action is followed: the next hold is another one."""
        self.reconsider()
        self._has_moved = True

    def interrupt(self) -> None:
        """The hold begins with a stop, whatever it was moving to."""
        self._chosen = self._rest_ns = None

    def reconsider(self) -> None:
        """Where the hold stays is to be chosen again."""
        self._left = self._chosen = self._rest_ns = None

    @property
    def is_settled(self) -> bool:
        """Whether the arm was seen at rest, and the hold is where it is to stay."""
        return self._left is not None

    @property
    def is_chosen(self) -> bool:
        """Whether the hold moves to a measured pose, or stands there."""
        return self._chosen is not None

    def begin(self, state: RobotState, told: Sequence[float]) -> list[float] | None:
        """Where the motion begins.

        Args:
            state: The measured state.
            told: (k,) what the drivers were told last [unit], NaN where that is unknown; a gripper keeps it.

        Returns:
            (k,) [unit]; NaN for a gripper that nobody knows, 0 for a change. None until the arm is seen at
            rest.
        """
        poses = []
        for place, dof in enumerate(self._dofs):
            if dof.holds_command and not math.isnan(told[place]):
                poses.append(told[place])
                continue
            measured = self._measured(dof, state)
            if measured is None:
                return None
            stood = [told[place]] if self._left is None else [told[place], self._left[place][1]]
            is_there = any(abs(nearest(dof, measured, at) - at) <= _tolerance(dof) for at in stood)
            poses.append(told[place] if is_there and not math.isnan(told[place]) else measured)
        return poses

    def is_same(self, pose: Sequence[float], commanded: Sequence[float]) -> bool:
        """Whether (k,) a pose to begin at is the one that is commanded, as far as one can tell."""
        return all(
            dof.is_delta or abs(one - other) <= _tolerance(dof) or (math.isnan(one) and math.isnan(other))
            for dof, one, other in zip(self._dofs, pose, commanded, strict=True)
        )

    def goals(
        self, commanded: Sequence[float], state: RobotState, now_ns: int, has_let_go: bool
    ) -> list[float] | None:
        """Where the hold goes.

        Args:
            commanded: (k,) where it stands [unit].
            state: The measured state.
            now_ns: [ns, node clock].
            has_let_go: Whether the arm may be anywhere.

        Returns:
            (k,) [unit]; None: it stays.
        """
        if self._chosen is not None:
            if max(abs(at - goal) for at, goal in zip(commanded, self._chosen, strict=True)) > REACHED:
                return self._chosen
            self._chosen = self._rest_ns = None
        if self._rest_ns is None:
            self._rest_ns = now_ns
        measured = [self._measured(dof, state, self._rest_ns + SETTLE_NS) for dof in self._dofs]
        rested = [value for value in measured if value is not None]
        if len(rested) < len(measured):
            return None
        goals = [_goal(pair, has_let_go) for pair in zip(self._dofs, commanded, rested, strict=True)]
        if self._has_moved or (has_let_go and self._is_elsewhere(goals, commanded)):
            self._has_moved, self._chosen = False, goals
            return goals
        self._left = list(zip(commanded, rested, strict=True))
        return None

    def _is_elsewhere(self, goals: Sequence[float], commanded: Sequence[float]) -> bool:
        return any(
            abs(goal - at) > _tolerance(dof)
            for dof, goal, at in zip(self._dofs, goals, commanded, strict=True)
        )

    def _measured(self, dof: Dof, state: RobotState, since_ns: int | None = None) -> float | None:
        if dof.is_delta:
            return 0.0
        if dof.holds_command:
            return state.value(dof.name)
        return state.resting(dof.name, _tolerance(dof), since_ns)


def _tolerance(dof: Dof) -> float:
    return AGREEMENT * following_limit(dof)


def _goal(place: tuple[Dof, float, float], has_let_go: bool) -> float:
    dof, commanded, measured = place
    if dof.is_delta or dof.holds_command or math.isnan(measured):
        return commanded
    near = nearest(dof, measured, commanded)
    return near if has_let_go or abs(near - commanded) <= following_limit(dof) else commanded
