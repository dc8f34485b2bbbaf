"""What the outputs of a contract carried while a recording was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncvla_ros.bags.reader import Recorded
from asyncvla_ros.bags.series import Done, Series
from asyncvla_ros.common.transforms import pose_to_state
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.output_values import OutputValues
from asyncvla_ros.data.message_content import NS, to_ns
from asyncvla_ros.robot.contract import Output, RobotContract

# A velocity that is not said again is over [ns].
RATE_NS = NS // 4


@dataclass
class _Output:
    """The messages of one output: what it meant for its dofs at a time."""

    values: OutputValues
    columns: list[int]


class DoneOutputs(Done):
    """What the outputs of the contract carried: the message in force when an action was due.

    Goals of gripper actions are in no recording: their dofs are not known.
    """

    def __init__(self, robot: RobotContract, topics: Mapping[str, Output]):
        self.topics = set(topics)
        self._robot = robot
        self._outputs = {
            topic: _Output(OutputValues(robot, output), [robot.dof_names.index(name) for name in output.dofs])
            for topic, output in topics.items()
        }
        self.series = {topic: Series() for topic in topics}

    def feed(self, one: Recorded) -> None:
        """Keep what a message of an output asks for, and from when on."""
        output = self._outputs[one.topic]
        meaning = MEANINGS[output.values.output.adapter](output.values, one.message)
        if meaning is not None:
            self.series[one.topic].add(one.stamp_ns, meaning)

    def at(self, chunk: StampedChunk) -> np.ndarray:
        """See ``Done``."""
        values: np.ndarray = np.full(chunk.actions.shape, np.nan)
        for topic, output in self._outputs.items():
            for row in range(len(values)):
                due_ns = chunk.due_ns(row)
                found = self.series[topic].before(due_ns)
                if found is not None:
                    values[row, output.columns] = found[1](due_ns - found[0])
        return values


# --- what a message of an output means: time since it came into force [ns] -> (n,) values ------------------

_Meaning = Callable[[int], np.ndarray]


def _trajectory(values: OutputValues, message: Any) -> _Meaning | None:
    joints = list(values.output.joints)
    names, points = list(message.joint_names), list(message.points)
    if not points or not set(joints) <= set(names):
        return None
    order = [names.index(joint) for joint in joints]
    times = np.array([to_ns(point.time_from_start) for point in points], np.float64)
    actions = values.absolute_actions(
        np.array([np.asarray(point.positions, np.float64)[order] for point in points])
    )
    return lambda since_ns: np.array([np.interp(since_ns, times, column) for column in actions.T])


def _positions(values: OutputValues, message: Any) -> _Meaning | None:
    data = np.asarray(message.data, np.float64)
    if len(data) != len(values.output.joints):
        return None
    targets = values.absolute_actions(data)
    return lambda since_ns: targets


def _velocities(values: OutputValues, message: Any) -> _Meaning | None:
    data = np.asarray(message.data, np.float64)
    return _while_said(values.deltas(data)) if len(data) == len(values.output.joints) else None


def _twist(values: OutputValues, message: Any) -> _Meaning | None:
    vectors = (message.twist.linear, message.twist.angular)
    rates = np.array([part for vector in vectors for part in (vector.x, vector.y, vector.z)])
    return _while_said(values.deltas(rates[: len(values.output.dofs)]))


def _pose(values: OutputValues, message: Any) -> _Meaning | None:
    place, turn = message.pose.position, message.pose.orientation
    try:
        state = pose_to_state(
            np.array([place.x, place.y, place.z]), np.array([turn.x, turn.y, turn.z, turn.w])
        )
    except ValueError:
        return None
    return lambda since_ns: state.astype(np.float64)


def _while_said(changes: np.ndarray) -> _Meaning:
    return lambda since_ns: changes if since_ns <= RATE_NS else np.full(len(changes), np.nan)


MEANINGS: dict[str, Callable[[OutputValues, Any], _Meaning | None]] = {
    "joint_trajectory": _trajectory,
    "forward_position": _positions,
    "forward_velocity": _velocities,
    "twist": _twist,
    "pose": _pose,
}
