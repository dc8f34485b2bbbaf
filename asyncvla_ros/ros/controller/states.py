"""The robot's state on its way to the controller: only the newest message of a topic is looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rclpy.serialization import deserialize_message

from asyncvla_ros.data.message_content import named_state, to_ns
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.repeated_warning import RepeatedWarning
from asyncvla_ros.ros.source_streams import message_type
from asyncvla_ros.types import ContractError

# Of a topic that two publish, the newest one may have some of the joints only: then an older one is read.
KEPT = 5


class RobotStates:
    """Keep serialized messages and read them when a command is due: a driver may publish at 1 kHz.

    Both in the thread of the executor, so nothing here is locked.

    Args:
        node: For its log.
        robot: Names the sources.
        observe: Called with topic, stamp [ns] and values by name for each message that is read.
    """

    def __init__(
        self, node: ManagedNode, robot: RobotContract, observe: Callable[[str, int, dict[str, float]], None]
    ):
        self._frame = robot.base_frame
        self._sources = {source.topic: source for source in robot.state}
        self._observe = observe
        self._faults: dict[str, str] = {}
        self._warning = RepeatedWarning(node)
        self._kept: dict[str, deque[bytes]] = {topic: deque(maxlen=KEPT) for topic in self._sources}

    def keep(self, topic: str, message: bytes) -> None:
        """Keep a serialized message, and a few that came before it."""
        self._kept[topic].append(message)

    def fault(self, topic: str) -> str:
        """Return the problem of a topic's newest message; empty without one."""
        return self._faults.get(topic, "")

    def read(self) -> None:
        """Read the newest message of each topic that fits the contract; warn of others."""
        for topic, kept in self._kept.items():
            source = self._sources[topic]
            while kept:
                message = deserialize_message(kept.pop(), message_type(source))
                try:
                    values = named_state(message, source, self._frame)
                except ContractError as error:
                    self._faults[topic] = str(error).removeprefix(f"{topic}: ")
                    self._warning.say(f"robot state ignored: {error}")
                    continue
                kept.clear()
                self._faults.pop(topic, None)
                self._observe(topic, to_ns(message.header.stamp), values)
