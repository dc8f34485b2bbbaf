"""How a command leaves the controller: by the adapters that the robot contract lists."""

from __future__ import annotations

import time
from typing import Any, Protocol

from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.task import Future

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.output_values import GoalGate, OutputValues
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.output_messages import TOPIC_ADAPTERS, gripper_action, gripper_goal
from asyncvla_ros.ros.conversions import floats, to_time
from asyncvla_ros.ros.lifecycle import ManagedNode

# How long the first command that somebody hears may take to reach him, before the next one is sent.
TAKEN = Duration(seconds=0.02)
# How long to insist that it does [s]: a listener that hangs, a stopped recorder say, must not keep the arm.
PATIENCE_S = 1.0


class Adapter(Protocol):
    """One output of the contract."""

    def send(self, command: Command, now_ns: int) -> None:
        """Sends a command that has values; see ``Outputs.send``."""
        ...


class Outputs:
    """All outputs of a robot.

    Args:
        node: The controller; owns publishers and action clients.
        robot: Lists the outputs.

    Raises:
        ContractError: an adapter needs messages that are not installed.
    """

    def __init__(self, node: ManagedNode, robot: RobotContract):
        self._adapters = [_adapter(node, robot, output) for output in robot.outputs]
        self._publishers = [
            adapter.publisher
            for adapter in self._adapters
            if isinstance(adapter, ActionCommandOutput | TopicOutput)
        ]
        self._offered_s: float | None = None
        # Whether a command was sent to somebody, and all who listened have it or had time enough.
        self.have_arrived = not self._publishers

    @property
    def is_heard(self) -> bool:
        """Whether somebody subscribes to what is published here."""
        return any(one.get_subscription_count() for one in self._publishers)

    def send(self, command: Command, now_ns: int) -> None:
        """Sends a command by every output; one without values is nothing to say.

        Args:
            command: What the controller decided.
            now_ns: Node clock [ns].
        """
        if command.values is None:
            return
        if not self.have_arrived:
            # A listener may be known before he knows the publisher: what is sent in between can be lost.
            self.have_arrived = self._offered_s is not None and (
                all(one.wait_for_all_acked(TAKEN) for one in self._publishers)
                or time.monotonic() - self._offered_s > PATIENCE_S
            )
            if not self.is_heard:
                self._offered_s = None
            elif self._offered_s is None:
                self._offered_s = time.monotonic()
        for adapter in self._adapters:
            adapter.send(command, now_ns)


def _adapter(node: ManagedNode, robot: RobotContract, output: Output) -> Adapter:
    if output.adapter == "action_command":
        return ActionCommandOutput(node, robot, output)
    if output.adapter in TOPIC_ADAPTERS:
        return TopicOutput(node, robot, output)
    return GripperActionOutput(node, robot, output)


class ActionCommandOutput:
    """Publishes ``ActionCommand``: what simulators obey and bags record."""

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        self._robot = robot
        self.publisher = node.advertise(ActionCommand, output.topic, qos.COMMAND)
        self._last: ScheduledAction | None = None

    def send(self, command: Command, now_ns: int) -> None:
        """Publishes the command with the chunk and the index it comes from."""
        assert command.values is not None
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
        self.publisher.publish(message)


class TopicOutput:
    """Publishes one standard message per command, see ``output_messages``."""

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        kind, self._convert = TOPIC_ADAPTERS[output.adapter]
        self._values = OutputValues(robot, output)
        self.publisher = node.advertise(kind, output.topic, qos.COMMAND)

    def send(self, command: Command, now_ns: int) -> None:
        """Publishes the message of the command."""
        assert command.values is not None
        self.publisher.publish(self._convert(self._values, command.values, command.velocity, now_ns))


class GripperActionOutput:
    """Sends a goal of a control_msgs action whenever the gripper's target changes.

    While the server has not answered a goal no further one is sent; the newest target follows then.
    """

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        self._node = node
        self._values = OutputValues(robot, output)
        self._gate = GoalGate(self._values.travel)
        self._action = gripper_action(output.adapter)
        self._client: Any = ActionClient(node, self._action, output.topic)
        node.resources.callback(self._client.destroy)
        self._asked = False

    def send(self, command: Command, now_ns: int) -> None:
        """Sends the goal if it differs from the last one and the server is there."""
        assert command.values is not None
        position = float(self._values.position(command.values)[0])
        if not self._client.server_is_ready():
            self._asked = False
            self._gate.note(None)
            self._warn("nobody serves it; is the gripper's driver running?")
            return
        if self._asked or not self._gate.wants(position):
            return
        self._asked = True
        self._gate.note(position)
        goal = gripper_goal(self._action, self._values, position)
        self._client.send_goal_async(goal).add_done_callback(self._answered)

    def _answered(self, future: Future) -> None:
        self._asked = False
        handle = future.result()
        if handle is None or not handle.accepted:
            self._gate.note(None)
            self._warn("the goal was refused")

    def _warn(self, text: str) -> None:
        topic = self._values.output.topic
        self._node.get_logger().warning(f"gripper action {topic}: {text}", throttle_duration_sec=2.0)
