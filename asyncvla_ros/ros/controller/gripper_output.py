"""Outputs that are actions: a gripper is sent a goal whenever its command changes."""

from __future__ import annotations

from typing import Any

from rclpy.action import ActionClient
from rclpy.task import Future

from asyncvla_ros.control.output_values import GoalGate, OutputValues
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.ros.controller.output_messages import gripper_action, gripper_goal
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.repeated_warning import RepeatedWarning


class GripperActionOutput:
    """Send a goal of a control_msgs action whenever the gripper's command changes.

    While the server has not answered a goal no further one is sent; the newest command follows then. Answers
    are callbacks of the executor, as is what sends: every field belongs to its thread.
    """

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        self._warning = RepeatedWarning(node)
        self._values = OutputValues(robot, output)
        self.topic = output.topic
        self._gate = GoalGate(self._values.travel)
        self._action = gripper_action(output.adapter)
        self._client: Any = ActionClient(node, self._action, output.topic)
        node.resources.callback(self._client.destroy)
        self._asked = self._is_canceled = self._is_stopped = False
        self._moving: Any = None

    def send(self, command: Command) -> None:
        """Send the goal if it differs from the last one and the server is there."""
        assert command.values is not None
        if self._values.says_nothing(command.values) or (self._is_stopped and command.action is None):
            return
        if self._is_stopped:
            self._is_stopped = False
            self._gate.note(None)
        position = float(self._values.position(command.values)[0])
        if not self._client.server_is_ready():
            self._asked = self._is_canceled = False
            self._gate.note(None)
            self._warn("nobody serves it; is the gripper's driver running?")
            return
        if self._asked or not self._gate.wants(position, command.at_ns):
            return
        self._asked = True
        self._gate.note(position)
        goal = gripper_goal(self._action, self._values, position)
        self._client.send_goal_async(goal).add_done_callback(self._answered)

    def cancel(self) -> None:
        """Cancel the present goal; send no other before the next action of a chunk."""
        self._is_stopped, self._is_canceled = True, self._asked
        if self._moving is not None:
            self._moving.cancel_goal_async()
            self._moving = None

    def _answered(self, future: Future) -> None:
        is_canceled = self._is_canceled
        self._asked = self._is_canceled = False
        handle: Any = future.result()
        if handle is None or not handle.accepted:
            self._gate.note(None)
            self._warn("the goal was refused")
            return
        if is_canceled:
            handle.cancel_goal_async()
            return
        self._moving = handle
        handle.get_result_async().add_done_callback(lambda _: self._ended(handle))

    def _ended(self, handle: Any) -> None:
        if self._moving is handle:
            self._moving = None

    def _warn(self, text: str) -> None:
        self._warning.say(f"gripper action {self._values.output.topic}: {text}")
