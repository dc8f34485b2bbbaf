"""Where the robot went while a recording was made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.bags.reader import Recorded
from asyncvla_ros.bags.series import Done, Series
from asyncvla_ros.common.transforms import state_to_pose
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.data.message_content import NS, finite_state, to_ns
from asyncvla_ros.robot.contract import PoseSource, RobotContract
from asyncvla_ros.types import AsyncVLAError, ContractError


class DoneStates(Done):
    """Where the robot was some control steps after an action was due.

    ::

        target   state(t + K)                      of the same name
        change   state(t + K + 1) - state(t + K)   of a joint, or of the pose of the end effector

    Args:
        robot: Its state and dofs.
        topics: Topic in the recording to the topic of the contract.
        steps: K, control steps.

    Raises:
        AsyncVLAError: no dof is measured.
    """

    def __init__(self, robot: RobotContract, topics: Mapping[str, str], steps: int):
        self._robot, self._steps = robot, steps
        self._sources = {
            topic: source for topic, name in topics.items() for source in robot.state if source.topic == name
        }
        self.topics = set(self._sources)
        self.series = {topic: Series() for topic in self._sources}
        self.ahead_ns = NS + (steps + 1) * robot.action_period_ns
        self._picks = self._measured_dofs()
        self._pose = next(
            (topic for topic, source in self._sources.items() if isinstance(source, PoseSource)), None
        )
        if not self._picks and not (robot.action_space == "delta_ee_pose" and self._pose):
            states = ", ".join(robot.state_names)
            raise AsyncVLAError(
                f"--target state: no dof of {robot.name} is measured; dofs: {', '.join(robot.dof_names)}; "
                f"state: {states}"
            )

    def _measured_dofs(self) -> dict[int, tuple[str, int]]:
        """Map the columns of measured dofs to their topic and their place in its state."""
        places = {
            name: (topic, place)
            for topic, source in self._sources.items()
            for place, name in enumerate(source.names)
        }
        picks = {}
        for column, dof in enumerate(self._robot.dofs):
            name = dof.workspace.state if dof.is_delta and dof.workspace else dof.name
            is_joint_change = dof.is_delta and self._robot.action_space == "delta_joint_position"
            if name in places and (is_joint_change or not dof.is_delta):
                picks[column] = places[name]
        return picks

    def feed(self, one: Recorded) -> None:
        """Keep a measured state."""
        try:
            state = finite_state(one.message, self._sources[one.topic], self._robot.base_frame)
        except ContractError:
            return
        self.series[one.topic].add(to_ns(one.message.header.stamp), state.astype(np.float64))

    def at(self, chunk: StampedChunk) -> np.ndarray:
        """See ``Done``."""
        values: np.ndarray = np.full(chunk.actions.shape, np.nan)
        for row in range(len(values)):
            now = self._measured(chunk.due_ns(row + self._steps), chunk.action_period_ns)
            then = self._measured(chunk.due_ns(row + self._steps + 1), chunk.action_period_ns)
            for column, (topic, place) in self._picks.items():
                if topic in now and not self._robot.dofs[column].is_delta:
                    values[row, column] = now[topic][place]
                elif topic in now and topic in then:
                    values[row, column] = then[topic][place] - now[topic][place]
            if self._robot.action_space == "delta_ee_pose" and self._pose in now and self._pose in then:
                assert self._pose is not None
                values[row, :6] = _pose_change(now[self._pose], then[self._pose])
        return values

    def _measured(self, time_ns: int, action_period_ns: int) -> dict[str, np.ndarray]:
        found = {
            topic: series.between(time_ns, 4 * action_period_ns) for topic, series in self.series.items()
        }
        return {topic: state for topic, state in found.items() if state is not None}


def _pose_change(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Return the change (6,) of a pose (9,): position [m], and rotation vector in the base frame [rad]."""
    (place, turn), (next_place, next_turn) = state_to_pose(now), state_to_pose(then)
    rotation = Rotation.from_quat(next_turn) * Rotation.from_quat(turn).inv()
    return np.concatenate([next_place - place, rotation.as_rotvec()])
