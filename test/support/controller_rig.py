"""A controller, what it says, and a policy that tells it where to go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.ros import qos
from support.fake_arm import JOINTS
from support.fake_robot import ChunkPeer
from support.ros_client import RosClient


class ControllerRig:
    """Talks to the node ``controller`` over ROS.

    Args:
        client: Owner of publishers and subscriptions.
        dof_names: Of its contract.
        action_space: Of its contract.
    """

    def __init__(
        self, client: RosClient, dof_names: Sequence[str] = JOINTS, action_space: str = "joint_position"
    ):
        self.client = client
        self.status = client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
        self.commands = client.subscribe(ActionCommand, "/controller/command", 1000)
        self._form = {"dof_names": tuple(dof_names), "action_space": action_space}
        self._policy: ChunkPeer | None = None

    def transition(self, *names: str) -> None:
        """Goes through these transitions of the lifecycle."""
        for name in names:
            assert self.client.transition("controller", name), name

    def begin(self) -> None:
        """Active, and no command yet."""
        self.transition("configure", "activate")

    def send(self, *goal: float, length: int = 200, stamp_ns: int | None = None) -> StampedChunk:
        """Send a chunk with the same target in each action; with length 0, one that ends the motion."""
        if self._policy is None:
            self._policy = ChunkPeer(self.client)
        actions = np.tile(np.array(goal, np.float32), (length, 1))
        return self._policy.send(stamp_ns, actions=actions, **self._form)

    def trigger(self, name: str) -> bool:
        """Call a service such as ``estop``."""
        return self.client.call(Trigger, f"/controller/{name}", Trigger.Request()).success

    def set_parameter(self, name: str, value: Any) -> Any:
        """Set a parameter and return the result."""
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return self.client.call(SetParameters, "/controller/set_parameters", request).results[0]

    def expect(self, mode: Mode, reason: Reason | None = None, words: str = "") -> ControllerStatus:
        """Wait for the next status with this mode and reason, whose text contains ``words``."""
        return self.status.wait(
            where=lambda s: s.mode == mode and reason in (None, s.reason_code) and words in s.reason
        )

    def expect_anew(self, mode: Mode, reason: Reason | None = None, words: str = "") -> ControllerStatus:
        """As ``expect``, among what is said from now on."""
        self.status.clear()
        return self.expect(mode, reason, words)

    def move(self, *goal: float, until: float = 0.1) -> None:
        """On the way to a goal, ``until`` [unit] from where it began."""
        self.commands.clear()
        self.send(*goal)
        first = self.commands.wait(where=lambda c: c.source == ActionCommand.SOURCE_CHUNK)
        start = np.array(first.action)
        self.commands.wait(where=lambda c: np.abs(np.array(c.action) - start).max() >= until)
