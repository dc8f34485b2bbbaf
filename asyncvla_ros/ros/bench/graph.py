"""The graph that benchmarks measure: bench arm, controller, sweeping policy, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.ros.realtime import PRIORITY

# For the nodes to come up [s].
START_S = 60.0
ARM_NODE = "asyncvla_ros.ros.bench.arm_node"
DRIVER_NODE = "asyncvla_ros.ros.bench.driver_node"
CONTROLLER = "asyncvla_ros.ros.controller.node"
STEPPED_CONTROLLER = "asyncvla_ros.ros.bench.stepped_controller_node"
# Parameters of a controller on a robot.
REALTIME = {"realtime_priority": PRIORITY, "lock_memory": True}
# Nothing may be missed, though the publishers keep one message; of a log not even what was before.
ALL = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
LOG = QoSProfile(
    depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def start_graph(
    nodes: NodeProcesses,
    contract: Path,
    arm: Mapping[str, object],
    *,
    use_sim_time: bool = False,
    images: Mapping[str, str] | None = None,
    controller: str = CONTROLLER,
    is_realtime: bool = False,
) -> None:
    """Start ``arm``, ``controller`` and ``policy``.

    Args:
        nodes: Owner of the processes.
        contract: Written by ``write_contract``.
        arm: Parameters of the arm.
        use_sim_time: Whether their clock is ``/clock``.
        images: Variables for the policy alone, which takes images.
        controller: Module of the controller.
        is_realtime: Whether arm and controller go before other processes where the system permits it, as
            they do on a robot.
    """
    every: dict[str, object] = {"autostart": True, "use_sim_time": use_sim_time}
    robot = {**every, "robot": contract}
    nodes.start("arm", DRIVER_NODE if is_realtime else ARM_NODE, [], {**arm, **every})
    nodes.start("controller", controller, [], {**robot, **(REALTIME if is_realtime else {})})
    policy = {**robot, "instruction": "sweep"}
    nodes.start("policy", "asyncvla_ros.ros.bench.sweep_policy_node", [], policy, environment=images)
