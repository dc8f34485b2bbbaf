"""The processes that benchmarks start: arm, controller and sweeping policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asyncvla_ros.ros.processes import NodeProcesses

MODULES = {
    "arm": "asyncvla_ros.ros.bench.arm_node",
    "controller": "asyncvla_ros.ros.controller_node",
    "policy": "asyncvla_ros.ros.bench.sweep_policy_node",
}


class Graph:
    """Starts each node with what it needs, again after it was ended.

    Args:
        nodes: Owner of the processes.
        contract: Written by ``arm.write_contract``.
        arm: Parameters of the arm.
        use_sim_time: Follow ``/clock``.
    """

    def __init__(
        self, nodes: NodeProcesses, contract: Path, arm: Mapping[str, object], use_sim_time: bool = False
    ):
        self._nodes = nodes
        robot = {"robot": contract}
        own = {"arm": arm, "controller": robot, "policy": {**robot, "instruction": "sweep"}}
        common = {"autostart": True, "use_sim_time": use_sim_time}
        self._parameters = {name: {**common, **values} for name, values in own.items()}

    def start(self, *names: str) -> None:
        """Starts these nodes; without names, all."""
        for name in names or MODULES:
            self._nodes.start(name, MODULES[name], [], self._parameters[name])
