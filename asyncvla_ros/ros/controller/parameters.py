"""Parameters of controller_node, and the robot contract they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.robot.urdf import read_urdf
from asyncvla_ros.robot.urdf_limits import tighten
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.discovery import robot_description
from asyncvla_ros.ros.parameters import parameter
from asyncvla_ros.types import ContractError

# A latched message of a running robot_state_publisher takes less [s].
DESCRIPTION_PATIENCE_S = 10.0


@dataclass(frozen=True)
class ControllerParameters:
    """Parameters of controller_node; limits and timeouts are the robot contract's."""

    robot: str = parameter(
        "libero_panda", "Robot contract: a name in config/robots or a .yaml", read_only=True
    )
    urdf: str = parameter("", "URDF file whose joint limits tighten the contract's", read_only=True)
    urdf_topic: str = parameter(
        "",
        "Topic of the URDF whose joint limits do so, such as robot_description",
        read_only=True,
    )
    chunk_topic: str = parameter("policy/action_chunk", "Topic of the action chunks", read_only=True)
    lockstep: bool = parameter(
        False, "The world waits for each command: act on each tick of /clock", read_only=True
    )
    execute_steps: int = parameter(
        0, "Leading actions of each chunk to execute; 0: all", minimum=0, maximum=1000, read_only=True
    )
    silence_timeout_s: float = parameter(
        2.0,
        "Hold after so much wall time without a chunk, even if the clock stands still [s]",
        minimum=0.1,
        maximum=600.0,
    )
    sensor_reliability: str = parameter(
        "best_effort", "QoS of the robot state", choices=tuple(qos.RELIABILITIES), read_only=True
    )
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)


def read_robot(values: ControllerParameters, urdf_topic: str) -> RobotContract:
    """The contract, tightened by a URDF if there is one.

    Args:
        values: Name the contract, and maybe a URDF.
        urdf_topic: ``values.urdf_topic`` with the namespace of the node.

    Raises:
        ContractError: contract or URDF is missing or wrong, or they have nothing in common.
    """
    robot = load_robot(robot_file(values.robot))
    if values.urdf:
        try:
            text = Path(values.urdf).read_text(encoding="utf-8")
        except OSError as error:
            raise ContractError(f"{values.urdf}: cannot read the URDF: {error.strerror}") from error
        robot = tighten(robot, read_urdf(text, values.urdf))
    if values.urdf_topic:
        robot = tighten(robot, read_urdf(robot_description(urdf_topic, DESCRIPTION_PATIENCE_S), urdf_topic))
    return robot
