"""Keep links inside boxes and above planes, and the tool slow enough, by forward kinematics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asyncvla_ros.control.motion import Path
from asyncvla_ros.control.robot_state import RobotState
from asyncvla_ros.robot.contract import GuardedFrame, JointStateSource, RobotContract
from asyncvla_ros.robot.kinematics import load_chain
from asyncvla_ros.types import ContractError

# Number of moments of a motion to check, and their least distance from the borders [m], because what lies
# between two moments is not checked.
MOMENTS = 48
MARGIN_M = 1e-3
# Share of the speed limit to use, for the same reason.
SPEED_SHARE = 0.98


class ToolGuard:
    """Decide whether a whole motion, from now to its stop, is permitted.

    ::

        now ──towards the goal──●──stop──│ border       every moment of it is inside, and slow enough:
                                                        permitted; else the arm brakes, as it always can

    A link that is already outside may come back but not go farther out; a tool that is too fast brakes.

    Args:
        robot: A contract with a guard, whose dofs are joint positions.
        tracked: (k,) the dofs whose motion is checked.
        urdf: The XML of the robot description.

    Raises:
        ContractError: the description lacks a link, or its joints do not move it.
    """

    def __init__(self, robot: RobotContract, tracked: np.ndarray, urdf: str):
        assert robot.guard is not None
        self._guard = robot.guard
        self.tool_speed = robot.guard.speed
        sources = [source for source in robot.state if isinstance(source, JointStateSource)]
        joints = {name: joint for s in sources for name, joint in zip(s.names, s.joints, strict=True)}
        self._states = {joint: name for name, joint in joints.items()}
        driven = [joints.get(robot.dofs[i].name, robot.dofs[i].name) for i in tracked.tolist()]
        self._driven = {joint: place for place, joint in enumerate(driven)}
        links = {frame.link for frame in robot.guard.frames} | {robot.guard.tool}
        self._chains = {link: load_chain(urdf, robot.base_frame, link) for link in sorted(links)}
        for link, chain in self._chains.items():
            unknown = [name for name in chain.names if name not in self._driven and name not in self._states]
            if unknown:
                raise ContractError(
                    f"guard of {link}: joint {', '.join(unknown)} on the way to it is neither a dof nor "
                    "measured"
                )

    def limit_speed(self, speed: float | None) -> None:
        """Limit the speed of the tool to ``speed`` [m/s]; None: to the contract's limit."""
        self.tool_speed = min((s for s in (speed, self._guard.speed) if s is not None), default=None)

    def permits(self, paths: Sequence[Path | None], at_ns: int, state: RobotState) -> bool:
        """Return whether a motion stays inside its borders and below the speed limit to its end.

        Args:
            paths: (k,) motions of the tracked dofs, stop included; None: the dof stands still.
            at_ns: Now [ns, steady].
            state: Positions of joints that are not commanded.
        """
        known = [path for path in paths if path is not None]
        end_ns = max((path.end_ns for path in known), default=at_ns)
        times = np.linspace(at_ns, max(end_ns, at_ns + 1), MOMENTS)
        lost = np.full(len(times), np.nan)
        motion = np.array([lost if path is None else path.states(times)[:, 0] for path in paths]).T
        for frame in self._guard.frames:
            depths = _outside(frame, self._points(frame.link, motion, state))
            nearest = np.minimum.accumulate(depths, axis=1)[:, :-1]
            # Written so that NaN is not permitted either.
            if not (depths[:, 1:] <= np.maximum(0.0, nearest)).all():
                return False
        if self.tool_speed is None:
            return True
        steps = np.diff(self._points(self._guard.tool, motion, state), axis=0)
        speeds = np.linalg.norm(steps, axis=1) / (np.diff(times) / 1e9)
        return bool((speeds <= SPEED_SHARE * self.tool_speed).all())

    def slowest_s(self, begin: Sequence[float], end: Sequence[float], state: RobotState) -> float:
        """Return the least duration of a driver's quintic that keeps the tool's speed limit [s].

        Args:
            begin: (k,) positions of the tracked dofs.
            end: (k,) positions at the end.
            state: Positions of joints that are not commanded.
        """
        if self.tool_speed is None:
            return 0.0
        share = np.linspace(0, 1, MOMENTS)[:, None]
        motion = np.array(begin) + share * (np.array(end) - np.array(begin))
        steps = np.linalg.norm(np.diff(self._points(self._guard.tool, motion, state), axis=0), axis=1)
        # The greatest speed of a quintic is 15/8 of its distance per duration.
        return float(15 / 8 * steps.max() * (MOMENTS - 1) / (SPEED_SHARE * self.tool_speed))

    def _points(self, link: str, motion: np.ndarray, state: RobotState) -> np.ndarray:
        """Return the positions of a link (m, 3) [m] during a motion (m, k) of the tracked dofs."""
        chain = self._chains[link]
        columns = [
            motion[:, self._driven[name]]
            if name in self._driven
            else np.full(len(motion), state.value(self._states[name]))
            for name in chain.names
        ]
        return chain.points(np.array(columns).T.reshape(len(motion), len(columns)))


def _outside(frame: GuardedFrame, points: np.ndarray) -> np.ndarray:
    """Return (b, m) how far points (m, 3) are outside of each border [m]; negative inside."""
    depths = [MARGIN_M + plane.offset - points @ np.array(plane.normal) for plane in frame.planes]
    if frame.box is not None:
        low, high = np.array(frame.box).T
        depths += [*(MARGIN_M + (low - points).T), *(MARGIN_M + (points - high).T)]
    return np.array(depths).reshape(len(depths), len(points))
