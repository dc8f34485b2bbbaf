"""What was done while a recording was made: the commands in it, or where the robot went."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from asyncvla_ros.bags.done_outputs import MEANINGS, DoneOutputs
from asyncvla_ros.bags.done_states import DoneStates
from asyncvla_ros.bags.reader import Recorded
from asyncvla_ros.bags.robot_topics import listing, resolve
from asyncvla_ros.bags.series import Done, Series
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import AsyncVLAError

CHOICES = ("auto", "command", "chunk", "outputs", "state:K")
COMMAND, CHUNK = "asyncvla_msgs/msg/ActionCommand", "asyncvla_msgs/msg/ActionChunk"


class _DoneOnTopic(Done):
    """What the messages of one topic say."""

    def __init__(self, robot: RobotContract, topic: str):
        self._robot, self._series = robot, Series()
        self.series = {topic: self._series}
        self.topics = {topic}


class DoneCommands(_DoneOnTopic):
    """The ``ActionCommand`` that was due nearest to an action; holds are no actions."""

    def feed(self, one: Recorded) -> None:
        """Keep a command of this robot."""
        message = one.message
        if message.source == 0 or tuple(message.dof_names) != self._robot.dof_names:
            return
        self._series.add(to_ns(message.header.stamp), np.asarray(message.action, np.float64))

    def at(self, chunk: StampedChunk) -> np.ndarray:
        """See ``Done``."""
        values = [
            self._series.nearest(chunk.due_ns(i), chunk.action_period_ns // 2)
            for i in range(len(chunk.actions))
        ]
        return _rows(values, len(self._robot.dofs))


class DoneChunks(_DoneOnTopic):
    """The recorded chunk of the observation that is nearest to that of a chunk, action by action."""

    def feed(self, one: Recorded) -> None:
        """Keep a chunk of this robot."""
        message, dofs = one.message, len(self._robot.dofs)
        actions = np.asarray(message.actions, np.float64)
        if len(actions) and tuple(message.dof_names) == self._robot.dof_names and len(actions) % dofs == 0:
            self._series.add(to_ns(message.header.stamp), actions.reshape(-1, dofs))

    def at(self, chunk: StampedChunk) -> np.ndarray:
        """See ``Done``."""
        values: np.ndarray = np.full(chunk.actions.shape, np.nan)
        found = self._series.nearest(chunk.stamp_ns, chunk.action_period_ns // 2)
        if found is not None:
            length = min(len(found), len(values))
            values[:length] = found[:length]
        return values


def find_done(
    target: str, recorded: Mapping[str, set[str]], robot: RobotContract, namespace: str
) -> tuple[str, Done]:
    """Choose what chunks are compared with, and name it.

    Args:
        target: One of ``CHOICES``; ``auto``: the first that there is, of command, outputs and chunk.
        recorded: Topic to types, of the topics on which something came.
        robot: Whose.
        namespace: Of its nodes in the recording.

    Raises:
        AsyncVLAError: it is not recorded, or ``target`` is of another form.
    """
    if match := re.fullmatch(r"state:(\d{1,4})", target):
        topics = {resolve(source.topic, namespace): source.topic for source in robot.state}
        return target, DoneStates(robot, topics, int(match[1]))
    if target not in CHOICES[:-1]:
        raise AsyncVLAError(f"--target is {target!r}, expected one of {', '.join(CHOICES)}")
    offers: dict[str, Callable[[], Done | None]] = {
        "command": lambda: _found(
            DoneCommands, recorded, robot, _command_topics(robot, namespace), message=COMMAND
        ),
        "outputs": lambda: _outputs(recorded, robot, namespace),
        "chunk": lambda: _found(
            DoneChunks, recorded, robot, [resolve("~/action_chunk", namespace, "policy")], message=CHUNK
        ),
    }
    for name in offers if target == "auto" else [target]:
        if (done := offers[name]()) is not None:
            return name, done
    raise AsyncVLAError(
        f"there is no {'command' if target == 'auto' else target} of {robot.name} to compare with; the "
        f"measured state some steps ahead is another choice, as --target state:1; there are: "
        f"{listing(recorded)}"
    )


def _command_topics(robot: RobotContract, namespace: str) -> list[str]:
    named = [output.topic for output in robot.outputs if output.adapter == "action_command"]
    return [resolve(topic, namespace) for topic in named or ["~/command"]]


def _found(
    kind: Any, recorded: Mapping[str, set[str]], robot: RobotContract, topics: list[str], message: str
) -> Done | None:
    there = [topic for topic in topics if message in recorded.get(topic, set())]
    return kind(robot, there[0]) if there else None


def _outputs(recorded: Mapping[str, set[str]], robot: RobotContract, namespace: str) -> Done | None:
    topics = {
        topic: output
        for output in robot.outputs
        if output.adapter in MEANINGS and (topic := resolve(output.topic, namespace)) in recorded
    }
    return DoneOutputs(robot, topics) if topics else None


def _rows(values: list[Any], width: int) -> np.ndarray:
    return np.array([np.full(width, np.nan) if value is None else value for value in values])
