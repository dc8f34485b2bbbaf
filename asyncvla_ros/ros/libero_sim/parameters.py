"""Parameters of libero_sim_node."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.ros import qos
from asyncvla_ros.ros.parameters import parameter


@dataclass(frozen=True)
class SimParameters:
    """Parameters of libero_sim_node."""

    robot: str = parameter("libero_panda", "Robot contract: topics and scale of actions", read_only=True)
    command_topic: str = parameter(
        "controller/command", "Topic of the commands to obey", read_only=True, is_topic=True
    )
    lockstep: bool = parameter(True, "The world waits for each command", read_only=True)
    n_action_steps: int = parameter(
        4,
        "Lockstep: control steps from one observation to the next",
        minimum=1,
        maximum=1000,
        read_only=True,
        former="execute_steps",
    )
    real_time_factor: float = parameter(
        1.0, "Free-running: simulated per real time", minimum=0.01, maximum=100.0
    )
    camera_hz: float = parameter(
        10.0, "Free-running: camera rate in simulated time [Hz]", minimum=0.1, maximum=20.0, read_only=True
    )
    rendering: str = parameter("full", "Meshes of the cameras", choices=("full", "decimated"), read_only=True)
    suite: str = parameter("libero_object", "Suite of the first episode", read_only=True)
    task: int = parameter(0, "Task of the first episode", minimum=0, maximum=1000, read_only=True)
    init: int = parameter(
        0, "Official initial state of the first episode; -1: random", minimum=-1, maximum=1000, read_only=True
    )
    start: bool = parameter(True, "Begin the first episode on activation", read_only=True)
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)
    sensor_reliability: str = parameter(
        "reliable", "QoS of cameras and robot state", choices=tuple(qos.RELIABILITIES), read_only=True
    )
