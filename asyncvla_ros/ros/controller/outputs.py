"""How a command leaves the controller: by the adapters that the robot contract lists."""

from __future__ import annotations

from collections.abc import Callable

from asyncvla_ros.control.types import Command
from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.ros.controller.gripper_output import GripperActionOutput
from asyncvla_ros.ros.controller.output_messages import ACTION_ADAPTERS
from asyncvla_ros.ros.controller.published_outputs import ActionCommandOutput, PublishedOutput, TopicOutput
from asyncvla_ros.ros.lifecycle import ManagedNode


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
        # What carries the arm needs a subscriber; action_command beside it is optional.
        self._needed = [one for one in self._published if isinstance(one, TopicOutput)] or self._published

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics that only this controller may publish."""
        return tuple(one.publisher.topic_name for one in self._published)

    @property
    def needed(self) -> int:
        """Number of outputs that must have a subscriber."""
        return len(self._needed)

    @property
    def have_changed(self) -> bool:
        """Whether a driver came or went since commands were last known to arrive."""
        return any(one.acknowledgement.has_changed for one in self._needed)

    def restart(self) -> None:
        """Forget acknowledgements, at an activation."""
        for one in self._needed:
            one.acknowledgement.restart()

    def unacknowledged(self) -> tuple[str, ...]:
        """Return topics on which not all subscribers have acknowledged a command."""
        return tuple(one.topic for one in self._needed if not one.acknowledgement.is_acknowledged())

    def take_arrivals(self) -> bool:
        """Return whether a subscriber has come since the last call."""
        return any([one.acknowledgement.take_arrival() for one in self._needed])

    def send(self, command: Command, now_ns: int, is_held_up: Callable[[], bool]) -> bool:
        """Send a command by every output; do nothing for one without values.

        Args:
            command: What the controller decided.
            now_ns: Node clock at the moment of the command [ns].
            is_held_up: Asked once its messages are made, which takes longer than to send them.

        Returns:
            False if it was held up; True if it was sent, or there was nothing to send.
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
        """Cancel the goals of grippers that are still moving."""
        for gripper in self._grippers:
            gripper.cancel()


def _published(node: ManagedNode, robot: RobotContract, output: Output) -> PublishedOutput:
    kind = ActionCommandOutput if output.adapter == "action_command" else TopicOutput
    return kind(node, robot, output)
