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
        is_topic=True,
    )
    chunk_topic: str = parameter(
        "policy/action_chunk", "Topic of the action chunks", read_only=True, is_topic=True
    )
    lockstep: bool = parameter(
        False, "The world waits for each command: act on each tick of /clock", read_only=True
    )
    n_action_steps: int = parameter(
        0,
        "Leading actions of each chunk to execute; 0: all",
        minimum=0,
        maximum=1000,
        read_only=True,
        former="execute_steps",
    )
    silence_timeout_s: float = parameter(
        2.0,
        "Hold after so much wall time without a chunk, even if the clock stands still [s]",
        minimum=0.1,
        maximum=600.0,
    )
    discovery_s: float = parameter(
        3.5,
        "Activate so long after configuration: others that command the arm are known by then [s]",
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    )
    reduced_mode: bool = parameter(
        False, "Limit the speed of the tool to reduced_tool_speed; needs the contract's guard and a URDF"
    )
    reduced_tool_speed: float = parameter(
        0.25, "Speed of the tool in reduced mode [m/s]", minimum=0.001, maximum=10.0
    )
    realtime_priority: int = parameter(
        0,
        "SCHED_FIFO priority of the thread that commands; 0: none; needs a limit of rtprio",
        minimum=0,
        maximum=98,
        read_only=True,
    )
    lock_memory: bool = parameter(False, "Keep all memory in RAM; needs a limit of memlock", read_only=True)
    sensor_reliability: str = parameter(
        "best_effort", "QoS of the robot state", choices=tuple(qos.RELIABILITIES), read_only=True
    )
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)

    @property
    def tool_speed(self) -> float | None:
        """Speed of the tool that reduced mode permits [m/s]; None: not in reduced mode."""
        return self.reduced_tool_speed if self.reduced_mode else None


def read_robot(values: ControllerParameters, urdf_topic: str) -> tuple[RobotContract, str]:
    """Read the contract, tightened by a URDF if there is one; return it with the URDF's XML.

    Args:
        values: Parameters that name the contract, and maybe a URDF.
        urdf_topic: ``values.urdf_topic`` with the namespace of the node.

    Raises:
        ContractError: contract or URDF is missing or wrong, they have nothing in common, or a guard has no
            URDF to go by.
    """
    robot, text = load_robot(robot_file(values.robot)), ""
    if values.urdf:
        try:
            text = Path(values.urdf).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ContractError(f"{values.urdf}: cannot read the URDF: {error}") from error
        robot = tighten(robot, read_urdf(text, values.urdf))
    if values.urdf_topic:
        text = robot_description(urdf_topic, DESCRIPTION_PATIENCE_S)
        robot = tighten(robot, read_urdf(text, urdf_topic))
    if robot.guard is not None and not text:
        raise ContractError(
            f"robot {robot.name} has a guard, which needs a robot description: set the parameter urdf (a "
            "file) or urdf_topic (such as robot_description)"
        )
    return robot, text
