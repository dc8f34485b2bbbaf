"""The graph in which ``asyncvla bench faults`` makes things fail, and the ways in which it does."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import write_contract
from asyncvla_ros.ros.bench.fault_record import Record
from asyncvla_ros.ros.bench.graph import START_S, start_graph
from asyncvla_ros.ros.bench.onlooker import Onlooker
from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.types import RunError

# Small images: their transport is not what is measured. Where the arm rests is not where it was told to be.
ARM = {"width": 64, "height": 48, "stiction": 0.005}
# A fault comes so long after motion was seen, at most [s].
PHASE_S = 0.5
ANSWER_S = 10.0
TICK_S, START_NS = 0.002, 10_000 * 10**9
# Nothing may be missed, though the publishers keep one message.
ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)


class SimClock:
    """Publishes ``/clock``, at the pace of wall time, until it is set back."""

    def __init__(self, node: Node):
        self._publisher = node.create_publisher(ClockMessage, "/clock", qos.LOCKSTEP_CLOCK)
        self._began_ns = time.monotonic_ns() - START_NS
        self._lock = threading.Lock()
        node.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _tick(self) -> None:
        message = ClockMessage()
        with self._lock:
            seconds, nanoseconds = divmod(time.monotonic_ns() - self._began_ns, 10**9)
            message.clock.sec, message.clock.nanosec = seconds, nanoseconds
            self._publisher.publish(message)

    def set_back(self, by_s: float) -> None:
        """Goes on from ``by_s`` [s] ago; tells it at once."""
        with self._lock:
            self._began_ns += round(by_s * 1e9)
        self._tick()


@dataclass
class Rig:
    """Running nodes, an onlooker, and its record.

    Attributes:
        clock: What the nodes take for the time; None: that of the system.
    """

    nodes: NodeProcesses
    onlooker: Onlooker
    robot: RobotContract
    record: Record
    rng: np.random.Generator
    clock: SimClock | None

    def freeze(self, cameras: bool, joints: bool) -> None:
        """Whether cameras and joint states are silent from now on.

        Raises:
            RunError: they do not answer.
        """
        self._set("cameras", "frozen_cameras", cameras)
        self._set("arm", "frozen_joints", joints)

    def _set(self, node: str, key: str, value: bool) -> None:
        client: Any = self.onlooker.node.create_client(SetParameters, f"{node}/set_parameters")
        request = SetParameters.Request(parameters=[Parameter(key, value=value).to_parameter_msg()])
        if not client.wait_for_service(ANSWER_S):
            raise RunError(f"node {node} offers no service for its parameters")
        answer = client.call_async(request)
        self.onlooker.wait(answer.done, f"answer of node {node}", ANSWER_S)
        self.onlooker.node.destroy_client(client)
        result = answer.result()
        if result is None or not all(one.successful for one in result.results):
            raise RunError(f"node {node} cannot be frozen: {result}")

    def move(self) -> None:
        """Waits for motion, and in it for a random moment; the record begins anew.

        Raises:
            RunError: nothing moves.
        """
        self.record.forget()
        while True:
            self.onlooker.wait(self.record.is_moving, "motion", START_S)
            time.sleep(self.rng.uniform(0.0, PHASE_S))
            if self.record.is_moving():
                return

    def wait_for_motion(self, after_ns: int) -> int:
        """Waits until the arm moves again; returns when the first command from a chunk came [ns].

        Raises:
            RunError: it does not.
        """
        self.onlooker.wait(lambda: self.record.tracked_ns(after_ns) is not None, "command", START_S)
        tracked_ns = self.record.tracked_ns(after_ns)
        assert tracked_ns is not None
        self.onlooker.wait(self.record.is_moving, "motion", START_S)
        return tracked_ns


@contextmanager
def running_rig(
    rng: np.random.Generator, images: Mapping[str, str], use_sim_time: bool = False
) -> Iterator[Rig]:
    """Nodes that run until the block ends.

    Args:
        rng: When things fail.
        images: Variables for cameras and policy.
        use_sim_time: Whether the clock can be set back.
    """
    record = Record()
    with tempfile.TemporaryDirectory() as folder:
        contract = write_contract(Path(folder))
        with NodeProcesses(Path(folder) / "logs", {}) as nodes, Onlooker(nodes) as onlooker:
            # By way of the arm: who has just come may not know the controller yet, or be known to it.
            onlooker.subscribe(ActionCommand, "arm/obeyed", ALL, record.note_command)
            onlooker.subscribe(ControllerStatus, "controller/status", ALL, record.note_status)
            onlooker.subscribe(JointState, "arm/body", ALL, record.note_body)
            onlooker.subscribe(JointState, "joint_states", qos.sensor("best_effort"), record.note_measured)
            clock = SimClock(onlooker.node) if use_sim_time else None
            # Cameras have a driver of their own: the arm's must not stand still.
            timed = {"autostart": True, "use_sim_time": use_sim_time, "joint_hz": 0.0}
            nodes.start("cameras", "asyncvla_ros.ros.bench.arm_node", [], {**ARM, **timed}, images)
            start_graph(nodes, contract, {**ARM, "cameras": 0}, use_sim_time, images)
            yield Rig(nodes, onlooker, load_robot(contract), record, rng, clock)
