"""A robot contract in tables, for a person."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.robot.contract import (
    HOLDS,
    Dof,
    JointStateSource,
    Output,
    PoseSource,
    RobotContract,
)

MESSAGES = {
    "action_command": "asyncvla_msgs/ActionCommand",
    "joint_trajectory": "trajectory_msgs/JointTrajectory",
    "forward_position": "std_msgs/Float64MultiArray (positions)",
    "forward_velocity": "std_msgs/Float64MultiArray (velocities)",
    "twist": "geometry_msgs/TwistStamped",
    "pose": "geometry_msgs/PoseStamped",
    "gripper_command": "action control_msgs/GripperCommand",
    "parallel_gripper_command": "action control_msgs/ParallelGripperCommand",
}


@dataclass(frozen=True)
class Listing:
    """One table: a title, the names of its columns, and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def listings(robot: RobotContract) -> tuple[Listing, ...]:
    """Everything a contract says."""
    cameras = tuple((camera.key, camera.topic, camera.transport) for camera in robot.cameras)
    return (
        Listing(
            f"robot {robot.name}",
            ("control rate", "command rate", "ramp", "base frame", "action space"),
            (
                (
                    f"{robot.control_hz:g} Hz",
                    f"{robot.command_hz or robot.control_hz:g} Hz",
                    f"{robot.ramp_s:g} s",
                    robot.base_frame,
                    robot.action_space,
                ),
            ),
        ),
        Listing("cameras", ("key", "topic", "transport"), cameras),
        Listing(
            f"state ({len(robot.state_names)} numbers)",
            ("topic", "message", "name", "from"),
            tuple(row for source in robot.state for row in _state_rows(source)),
        ),
        Listing(
            f"action ({len(robot.dofs)} dofs)",
            (
                "dof",
                "is a",
                "unit",
                "scale",
                "minimum",
                "maximum",
                "velocity",
                "acceleration",
                "jerk",
                "hold",
            ),
            tuple(_dof_row(dof) for dof in robot.dofs),
        ),
        Listing(
            "outputs",
            ("adapter", "message", "topic", "dofs"),
            tuple((o.adapter, MESSAGES[o.adapter], o.topic, _carried(o, robot)) for o in robot.outputs),
        ),
        Listing(
            "timeouts",
            ("newest chunk's observation", "robot's state"),
            ((f"{robot.chunk_timeout_s:g} s", f"{robot.observation_timeout_s:g} s"),),
        ),
    )


def _state_rows(source: JointStateSource | PoseSource) -> list[tuple[str, ...]]:
    if isinstance(source, PoseSource):
        return [(source.topic, "PoseStamped", name, "") for name in source.names]
    pairs = zip(source.names, source.joints, strict=True)
    return [(source.topic, "JointState", name, f"joint {joint}") for name, joint in pairs]


def _dof_row(dof: Dof) -> tuple[str, ...]:
    kind = "change per step" if dof.is_delta else "target"
    bounds = (dof.minimum, dof.maximum, dof.velocity, dof.acceleration, dof.jerk)
    numbers = ("-" if bound is None else f"{bound:g}" for bound in bounds)
    hold = "0" if dof.is_delta else HOLDS[dof.holds_command]
    return (dof.name, kind, dof.unit, f"{dof.scale:g}", *numbers, hold)


def _carried(output: Output, robot: RobotContract) -> str:
    if output.adapter == "action_command":
        return "all"
    pairs = zip(output.dofs, output.joints, strict=True)
    text = ", ".join(dof if dof == joint else f"{dof} to joint {joint}" for dof, joint in pairs)
    if output.travel is not None:
        dof = robot.dofs[robot.dof_names.index(output.dofs[0])]
        text += f": {dof.minimum:g} .. {dof.maximum:g} is {output.travel[0]:g} .. {output.travel[1]:g}"
    return text + (f", effort {output.max_effort:g}" if output.max_effort else "")
