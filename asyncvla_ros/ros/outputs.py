"""How a command leaves the controller. The contract names the adapter; there is one so far."""

from __future__ import annotations

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.core.action_schedule import ScheduledAction
from asyncvla_ros.core.controller_types import Command
from asyncvla_ros.core.robot_contract import RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import floats, to_time
from asyncvla_ros.ros.lifecycle import ManagedNode


class ActionCommandOutput:
    """Publishes ``ActionCommand``: what simulators obey and bags record.

    Args:
        node: The controller; owns the publisher.
        robot: Names the topic, the dofs and the frame.
    """

    def __init__(self, node: ManagedNode, robot: RobotContract):
        self._robot = robot
        self._publisher = node.advertise(ActionCommand, robot.command_topic, qos.COMMAND)
        self._last: ScheduledAction | None = None

    def send(self, command: Command) -> None:
        """Publishes a command; one without values is nothing to say."""
        if command.values is None:
            return
        self._last = command.action or self._last
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
        self._publisher.publish(message)
