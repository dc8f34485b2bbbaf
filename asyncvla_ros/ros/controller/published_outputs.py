"""Outputs that are topics: one message per command that has something to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.output_values import OutputValues
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.acknowledgement import Acknowledgement
from asyncvla_ros.ros.controller.output_messages import TOPIC_ADAPTERS
from asyncvla_ros.ros.conversions import floats, to_time
from asyncvla_ros.ros.lifecycle import ManagedNode


class PublishedOutput(ABC):
    """An output that is a topic, with the acknowledgement of its commands."""

    def __init__(self, node: ManagedNode, kind: type, topic: str):
        self.topic = topic
        self.acknowledgement = Acknowledgement()
        self.publisher = node.advertise(kind, topic, qos.COMMAND, self.acknowledgement.events())
        self.acknowledgement.watch(self.publisher)

    @abstractmethod
    def message(self, command: Command, now_ns: int) -> Any:
        """Return the message of a command that has values; None: this output does not send it."""

    def publish(self, message: Any, command: Command) -> None:
        """Publish the message of this command."""
        self.publisher.publish(message)
        self.acknowledgement.sent += 1


class ActionCommandOutput(PublishedOutput):
    """Publish ``ActionCommand``, which simulators obey and bags record."""

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        super().__init__(node, ActionCommand, output.topic)
        self._robot = robot
        self._last: ScheduledAction | None = None

    def message(self, command: Command, now_ns: int) -> ActionCommand | None:
        """Return the command with its chunk and index, once every dof has a value."""
        assert command.values is not None
        self._last = command.action or self._last
        self.acknowledgement.is_silent = bool(np.isnan(command.values).any())
        if self.acknowledgement.is_silent:
            return None
        message = ActionCommand(
            action_space=self._robot.action_space,
            dof_names=list(self._robot.dof_names),
            source=ActionCommand.SOURCE_HOLD if command.action is None else ActionCommand.SOURCE_CHUNK,
            confidence=float("nan") if command.action is None else command.action.confidence,
            refined=command.action is not None and command.action.refined,
        )
        message.header.stamp = to_time(command.stamp_ns)
        message.header.frame_id = self._robot.base_frame
        message.action = floats(command.values)
        if self._last is not None:
            message.session_id = self._last.chunk.session_id
            message.chunk_id = self._last.chunk.chunk_id
            message.index = self._last.index
            message.observation_stamp = to_time(self._last.chunk.stamp_ns)
        return message


class TopicOutput(PublishedOutput):
    """Publish one standard message per command, see ``output_messages``."""

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        kind, self._convert = TOPIC_ADAPTERS[output.adapter]
        super().__init__(node, kind, output.topic)
        self._values = OutputValues(robot, output)

    def message(self, command: Command, now_ns: int) -> Any:
        """Return the message of the adapter, once its dofs have values."""
        assert command.values is not None
        self.acknowledgement.is_silent = self._values.says_nothing(command.values)
        if self.acknowledgement.is_silent or self._values.is_repeated(command):
            return None
        return self._convert(self._values, command, now_ns)

    def publish(self, message: Any, command: Command) -> None:
        """Publish the message of this command."""
        super().publish(message, command)
        self._values.note_sent(command)
