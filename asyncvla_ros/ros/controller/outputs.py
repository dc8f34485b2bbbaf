"""How a command leaves the controller: by the adapters that the robot contract lists."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.task import Future

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.control.output_values import GoalGate, OutputValues
from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.output_messages import (
    ACTION_ADAPTERS,
    TOPIC_ADAPTERS,
    gripper_action,
    gripper_goal,
)
from asyncvla_ros.ros.conversions import floats, to_time
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.repeated_warning import RepeatedWarning

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

# How long a command may take to be acknowledged, before the next one is sent.
ACK_TIMEOUT = Duration(seconds=0.02)
# How long to insist that it is [s]: a listener that hangs, a stopped recorder say, must not keep the arm.
ACK_DEADLINE_S = 1.0


class Outputs:
    """All outputs of a robot.

    Args:
        node: The controller; owns publishers and action clients.
        robot: Lists the outputs.

    Raises:
        ContractError: an adapter needs messages that are not installed.
    """

    def __init__(self, node: ManagedNode, robot: RobotContract):
        published = [
            _published(node, robot, one) for one in robot.outputs if one.adapter not in ACTION_ADAPTERS
        ]
        # What moves the arm goes first: to publish may take milliseconds while other processes are busy.
        self._published = sorted(published, key=lambda one: isinstance(one, ActionCommandOutput))
        self._grippers = [
            GripperActionOutput(node, robot, one) for one in robot.outputs if one.adapter in ACTION_ADAPTERS
        ]
        # What carries the arm must be heard; action_command, if it comes beside, is for those who like.
        self._needed = [one for one in self._published if isinstance(one, TopicOutput)] or self._published

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics that only this controller may publish."""
        return tuple(one.publisher.topic_name for one in self._published)

    @property
    def needed(self) -> int:
        """How many outputs must be heard."""
        return len(self._needed)

    @property
    def have_changed(self) -> bool:
        """Whether a driver came or went since commands were last known to arrive."""
        return any(one.hearing.has_changed for one in self._needed)

    def restart(self) -> None:
        """After an activation it must be seen again that commands arrive."""
        for one in self._needed:
            one.hearing.restart()

    def unacknowledged(self) -> tuple[str, ...]:
        """Topics on which no command has arrived for sure, since whoever listens began to."""
        return tuple(one.topic for one in self._needed if not one.hearing.has_arrived())

    def take_arrivals(self) -> bool:
        """Whether somebody began to listen since this was asked last."""
        return any([one.hearing.take_arrival() for one in self._needed])

    def send(self, command: Command, now_ns: int, is_held_up: Callable[[], bool]) -> bool:
        """Sends a command by every output; one without values is nothing to say.

        Args:
            command: What the controller decided.
            now_ns: Node clock at the moment of the command [ns].
            is_held_up: Asked when its messages are made, which takes longer than to send them.

        Returns:
            Whether it was sent, or nothing was to be; not, if it was held up.
        """
        if command.values is None:
            return True
        messages = [one.message(command, now_ns) for one in self._published]
        if is_held_up():
            return False
        for output, message in zip(self._published, messages, strict=True):
            if message is not None:
                output.publish(message, command)
        for gripper in self._grippers:
            gripper.send(command)
        return True

    def cancel(self) -> None:
        """Cancels the goals of grippers that are still moving."""
        for gripper in self._grippers:
            gripper.cancel()


class Hearing:
    """Whether the commands of one output reach those who subscribe to it."""

    def __init__(self) -> None:
        self._publisher: Any = None
        self._joined = 0
        self.sent = 0
        #: Whether there is nothing to send before the first action: nobody knows a pose to hold.
        self.is_silent = False
        self._has_come = False

    def events(self) -> Any:
        """Callbacks for the publisher that is asked about, where ROS has them (since Iron)."""
        try:
            return PublisherEventCallbacks(matched=self._note_matched)
        except TypeError:
            return None

    def _note_matched(self, event: Any) -> None:
        # A driver that was restarted while nobody looked is another listener, though there are as many.
        self._joined += max(0, event.total_count_change)

    def watch(self, publisher: Any) -> None:
        """The publisher that is asked about."""
        self._publisher = publisher
        self.restart()

    def restart(self) -> None:
        """Forgets what has arrived; whoever listens now is no news."""
        self._expect(self._publisher.get_subscription_count())

    def _expect(self, listeners: int) -> None:
        self._listeners, self._known = listeners, self._joined
        self._offered_s: float | None = None
        self._has_arrived = False

    def take_arrival(self) -> bool:
        """Whether somebody began to listen since this was asked last."""
        has_come, self._has_come = self._has_come, False
        return has_come

    @property
    def has_changed(self) -> bool:
        """Whether somebody has come since ``restart``, or gone."""
        return self._differs(self._publisher.get_subscription_count())

    def _differs(self, count: int) -> bool:
        return self._joined > self._known or count != self._listeners

    def has_arrived(self) -> bool:
        """Whether there are listeners, all of them have a command, and none has come or gone since."""
        count = self._publisher.get_subscription_count()
        if self._differs(count):
            self._has_come |= count > self._listeners or self._joined > self._known
            self._expect(count)
        if count == 0 or self._has_arrived:
            return self._has_arrived
        if self.is_silent:
            self._has_arrived = True
            return True
        # A listener may be known before it knows the publisher: what is sent in between can be lost.
        if self._offered_s is None:
            self._offered_s, self._sent_before = time.monotonic(), self.sent
        elif self.sent > self._sent_before + 1:
            self._has_arrived = (
                self._publisher.wait_for_all_acked(ACK_TIMEOUT)
                or time.monotonic() - self._offered_s > ACK_DEADLINE_S
            )
        return self._has_arrived


def _published(node: ManagedNode, robot: RobotContract, output: Output) -> PublishedOutput:
    kind = ActionCommandOutput if output.adapter == "action_command" else TopicOutput
    return kind(node, robot, output)


class PublishedOutput(ABC):
    """An output that is a topic, and whether its commands reach those who subscribe."""

    def __init__(self, node: ManagedNode, kind: type, topic: str):
        self.topic = topic
        self.hearing = Hearing()
        self.publisher = node.advertise(kind, topic, qos.COMMAND, self.hearing.events())
        self.hearing.watch(self.publisher)

    @abstractmethod
    def message(self, command: Command, now_ns: int) -> Any:
        """The message of a command that has values; None: it is not said by this output. See ``Outputs``."""

    def publish(self, message: Any, command: Command) -> None:
        """Publishes the message of this command."""
        self.publisher.publish(message)
        self.hearing.sent += 1


class ActionCommandOutput(PublishedOutput):
    """Publishes ``ActionCommand``: what simulators obey and bags record."""

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        super().__init__(node, ActionCommand, output.topic)
        self._robot = robot
        self._last: ScheduledAction | None = None

    def message(self, command: Command, now_ns: int) -> ActionCommand | None:
        """The command with the chunk and the index it comes from, once every dof has a value."""
        assert command.values is not None
        self._last = command.action or self._last
        self.hearing.is_silent = bool(np.isnan(command.values).any())
        if self.hearing.is_silent:
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
    """Publishes one standard message per command, see ``output_messages``."""

    def __init__(self, node: ManagedNode, robot: RobotContract, output: Output):
        kind, self._convert = TOPIC_ADAPTERS[output.adapter]
        super().__init__(node, kind, output.topic)
        self._values = OutputValues(robot, output)

    def message(self, command: Command, now_ns: int) -> Any:
        """The message of the adapter, once its dofs have values."""
        assert command.values is not None
        self.hearing.is_silent = self._values.says_nothing(command.values)
        if self.hearing.is_silent or self._values.is_repeated(command):
            return None
        return self._convert(self._values, command, now_ns)

    def publish(self, message: Any, command: Command) -> None:
        """Publishes the message of this command."""
        super().publish(message, command)
        self._values.note_sent(command)


class GripperActionOutput:
    """Sends a goal of a control_msgs action whenever the gripper's target changes.

    While the server has not answered a goal no further one is sent; the newest target follows then.
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
        """Sends the goal if it differs from the last one and the server is there."""
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
        """Cancels the goal the gripper moves to, and sends none before the next action of a chunk."""
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
