"""Parameters of visualizer_node."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.ros import qos
from asyncvla_ros.ros.parameters import parameter


@dataclass(frozen=True)
class VisualizerParameters:
    """Parameters of visualizer_node."""

    robot: str = parameter(
        "libero_panda", "Robot contract: a name in config/robots or a .yaml", read_only=True
    )
    chunk_topic: str = parameter(
        "policy/action_chunk", "Topic of the action chunks", read_only=True, is_topic=True
    )
    status_topic: str = parameter(
        "controller/status", "Topic of the controller's status", read_only=True, is_topic=True
    )
    description_topic: str = parameter(
        "robot_description", "Topic of the URDF, for joint actions", read_only=True, is_topic=True
    )
    tip_link: str = parameter("tool0", "Link of the URDF whose path is drawn, for joint actions")
    camera: str = parameter(
        "", "Camera of the overlay, a key of the contract; empty: its first", read_only=True
    )
    publish_hz: float = parameter(
        10.0, "How often markers and overlay are renewed [Hz]", minimum=0.1, maximum=100.0, read_only=True
    )
    sensor_reliability: str = parameter(
        "best_effort", "QoS of camera and robot state", choices=tuple(qos.RELIABILITIES), read_only=True
    )
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)
