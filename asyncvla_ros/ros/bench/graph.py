"""The graph that benchmarks measure: bench arm, controller, sweeping policy, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asyncvla_ros.ros.processes import NodeProcesses

# For the nodes to come up [s].
START_S = 60.0


def start_graph(
    nodes: NodeProcesses,
    contract: Path,
    arm: Mapping[str, object],
    use_sim_time: bool = False,
    images: Mapping[str, str] | None = None,
) -> None:
    """Starts ``arm``, ``controller`` and ``policy``.

    Args:
        nodes: Owner of the processes.
        contract: Written by ``write_contract``.
        arm: Parameters of the arm.
        use_sim_time: Whether their clock is ``/clock``.
        images: Variables for the policy alone, who takes images.
    """
    every: dict[str, object] = {"autostart": True, "use_sim_time": use_sim_time}
    robot = {**every, "robot": contract}
    nodes.start("arm", "asyncvla_ros.ros.bench.arm_node", [], {**arm, **every})
    nodes.start("controller", "asyncvla_ros.ros.controller.node", [], robot)
    policy = {**robot, "instruction": "sweep"}
    nodes.start("policy", "asyncvla_ros.ros.bench.sweep_policy_node", [], policy, images)
