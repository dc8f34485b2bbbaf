"""Inputs of the supervisor: driver states, the enable switch, and other commanders of the arm."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from std_msgs.msg import Bool

from asyncvla_ros.control.supervisor import Supervisor
from asyncvla_ros.robot.contract import DriverState, RobotContract
from asyncvla_ros.ros.controller.driver_parameters import check_trajectory_controllers
from asyncvla_ros.ros.controller.takeover import other_publishers
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.types import ContractError, RunError

# For a driver's node to say its parameters [s].
PARAMETERS_TIMEOUT_S = 2.0
# Between two looks for others.
LOOK = Duration(nanoseconds=50_000_000)
# Drivers publish their states latched or not: a subscription of each kind hears either.
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
LIVE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# The types of fields that can be compared.
NUMBER = re.compile(r"boolean|u?int(8|16|32|64)")


class Safeguards:
    """Feed the supervisor.

    Args:
        node: The controller; owns the subscriptions.
        robot: Names driver states and enable switch.
        supervisor: Receives the inputs.
        motion_ns: Steady time [ns].

    Raises:
        ContractError: the messages of a driver state are not installed, or lack the field.
    """

    def __init__(
        self,
        node: ManagedNode,
        robot: RobotContract,
        supervisor: Supervisor,
        motion_ns: Callable[[], int],
    ):
        self._node = node
        self._robot = robot
        self._supervisor = supervisor
        self._motion_ns = motion_ns
        self._kinds = [message_type(state) for state in robot.driver_states]
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._configured_s = time.monotonic()
        #: The newest message of each topic, serialized; the executor's thread alone keeps and reads them.
        self._kept: dict[str, bytes] = {}
        for topic, kind in {
            s.topic: k for s, k in zip(robot.driver_states, self._kinds, strict=True)
        }.items():
            for profile in (LATCHED, LIVE):
                # Large messages may come at 1 kHz: only the newest is read, when a command is due.
                node.subscribe_raw(kind, topic, partial(self._kept.__setitem__, topic), profile)
        if robot.enable is not None:
            node.subscribe(Bool, robot.enable.topic, self._on_enable, LIVE)

    def check_alone(self, topics: Sequence[str], discovery_s: float) -> None:
        """Refuse to command an arm that others command.

        Args:
            topics: The outputs.
            discovery_s: How long to look for others since this was made [s]. Who comes to a running graph may
                have to wait for the next announcement of a node: 3 s with Fast DDS.

        Raises:
            RunError: there are other publishers on an output.
        """
        while True:
            now_s = time.monotonic()
            others = other_publishers(self._node, topics)
            if others:
                raise RunError(f"others command this arm: {', '.join(others)}; end them first")
            if now_s >= self._configured_s + discovery_s:
                return
            self._steady.sleep_for(LOOK)

    def check_drivers(self) -> None:
        """Ask joint_trajectory_controllers for their parameters; warn of what does not fit.

        Raises:
            RunError: a controller cannot obey these commands.
        """
        warnings, refusals = check_trajectory_controllers(
            self._robot, self._node.resolve_topic_name, PARAMETERS_TIMEOUT_S
        )
        for warning in warnings:
            self._node.get_logger().warning(warning)
        if refusals:
            raise RunError("; ".join(refusals))

    def watch_drivers(self) -> None:
        """Forget the states of drivers that are gone."""
        for index, state in enumerate(self._robot.driver_states):
            if not self._node.count_publishers(state.topic):
                self._kept.pop(state.topic, None)
                self._supervisor.note_driver(index, None)

    def watch_others(self, topics: Sequence[str]) -> None:
        """Look for others that command the arm."""
        self._supervisor.note_takeover(other_publishers(self._node, topics))

    def read(self) -> None:
        """Read the newest messages of the driver."""
        while self._kept:
            topic, raw = self._kept.popitem()
            for index, state in enumerate(self._robot.driver_states):
                if state.topic == topic:
                    message = deserialize_message(raw, self._kinds[index])
                    self._supervisor.note_driver(index, int(getattr(message, state.field)))

    def _on_enable(self, message: Bool) -> None:
        self._supervisor.note_enable(self._motion_ns(), is_on=bool(message.data))


def message_type(state: DriverState) -> Any:
    """Return the message type of a driver state.

    Raises:
        ContractError: it is not installed, has no such field, or one that is no number.
    """
    package, _, name = state.message.replace("/msg/", "/").partition("/")
    try:
        kind = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ContractError(
            f"driver state {state.topic} has the type {state.message}, which is not installed ({error})"
        ) from error
    fields = kind.get_fields_and_field_types()
    if state.field not in fields:
        raise ContractError(
            f"driver state {state.topic}: {state.message} has no field {state.field!r}; "
            f"the fields are {', '.join(fields)}"
        )
    if not NUMBER.fullmatch(found := fields[state.field]):
        raise ContractError(
            f"driver state {state.topic}: {state.field} of {state.message} is a {found}, "
            "expected a bool or an integer"
        )
    return kind
